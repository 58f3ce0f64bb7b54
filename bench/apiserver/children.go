package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/etcd"
)

// children are what this program is in the processes that it starts: the servers under load, as they are in septet.
var children = map[string]func(args []string){
	"kube-apiserver": func(args []string) { command(apiserver.Command(), args) },
	"etcd":           func(args []string) { command(etcd.Command(), args) },
	"together":       func(args []string) { exit(together(args)) },
}

func command(c *cobra.Command, args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c.SetArgs(args)
	exit(c.ExecuteContext(ctx))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// together serves the API on an embedded etcd, as `septet server` does, without the other components. Arguments are the
// directory, the API server's address and that of etcd's socket, which only the load that fills the database uses.
func together(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, address, etcdAddress := args[0], args[1], args[2]
	member, err := etcd.Start(ctx, etcd.Config{DataDir: dir + "/etcd", ListenClient: []url.URL{{Scheme: "http", Host: etcdAddress}}})
	if err != nil {
		return err
	}
	defer member.Stop()
	config := apiserver.Config{
		Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, Paths: daemon.Profiling(),
	}
	if config.Listener, err = net.Listen("tcp", address); err != nil {
		return err
	}
	standard, err := standardOf(dir, &config)
	if err != nil {
		return err
	}
	server, err := apiserver.Open(ctx, config, standard)
	if err != nil {
		return err
	}
	return server.RunAll(ctx)
}

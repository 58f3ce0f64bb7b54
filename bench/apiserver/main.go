// Command apiserver measures kube-apiserver from outside: over TLS and HTTP/2, in a process of its own, on an etcd that
// syncs its log to this machine's disk. What is asked for are the loads of bench/README.md: writes at 1 and at 64 clients, lists
// of 10,000 and 50,000 Pods, thousands of watchers, many ConfigMaps, a start with 100,000 objects; and what each costs in
// time, server CPU and memory. The figures of the server count its CPU, not the load's.
//
//	go run ./bench/apiserver                                        septet: apiserver and etcd in one process, then apart
//	go run ./bench/apiserver -only together,peer -peer-apiserver kube-apiserver -peer-etcd etcd
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	peerServer, peerEtcd string
	only, loads          string
	dir, profiles        string
	phase                time.Duration
	pods, fewPods        int
	configMaps           int
	watchers, byNode     int
	changes              int
	watch                time.Duration
}

func main() {
	if len(os.Args) > 1 && children[os.Args[1]] != nil {
		children[os.Args[1]](os.Args[2:])
		return
	}
	var o options
	flag.StringVar(&o.peerServer, "peer-apiserver", "", "another kube-apiserver to put the same load on, of the same run")
	flag.StringVar(&o.peerEtcd, "peer-etcd", "", "its etcd; the embedded one in a process of its own if empty")
	flag.StringVar(&o.only, "only", "", "comma-separated servers to measure: together, apart, peer; all if empty")
	flag.StringVar(&o.loads, "loads", "", "comma-separated loads: start, writes, lists, watches, configmaps, restart; all if empty")
	flag.StringVar(&o.dir, "dir", "/var/tmp", "directory for etcd's data; its disk is part of what is measured")
	flag.StringVar(&o.profiles, "profiles", "", "directory for CPU profiles of our server, one a load")
	flag.DurationVar(&o.phase, "phase", 4*time.Second, "how long each load of writes lasts")
	flag.IntVar(&o.fewPods, "few", 10000, "Pods in the first lists")
	flag.IntVar(&o.pods, "pods", 50000, "Pods in the second lists")
	flag.IntVar(&o.configMaps, "configmaps", 50000, "ConfigMaps of 1 KB")
	flag.IntVar(&o.watchers, "watchers", 1000, "watchers of all Pods")
	flag.IntVar(&o.byNode, "by-node", 5000, "watchers of the Pods of one node each")
	flag.IntVar(&o.changes, "changes", 200, "changes a second while there are watchers")
	flag.DurationVar(&o.watch, "watch", 5*time.Second, "how long changes are made")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/apiserver:", err)
		os.Exit(1)
	}
}

// wanted reads a comma-separated choice; empty is everything.
func wanted(list, name string) bool {
	if list == "" {
		return true
	}
	for _, one := range strings.Split(list, ",") {
		if one == name {
			return true
		}
	}
	return false
}

// run measures each contestant and prints all beside each other.
func (o *options) run() error {
	var r report
	for _, kind := range []string{"together", "apart", "peer"} {
		if !wanted(o.only, kind) || kind == "peer" && o.peerServer == "" {
			continue
		}
		r.begin(kind)
		if err := o.measure(kind, &r); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return r.print(os.Stdout)
}

// loads in running order: later ones find what earlier ones have written.
var loads = []struct {
	name string
	run  func(*bench) error
}{
	{"start", (*bench).empty},
	{"writes", (*bench).writes},
	{"lists", (*bench).lists},
	{"watches", (*bench).watches},
	{"configmaps", (*bench).manyConfigMaps},
	{"restart", (*bench).restart},
}

// bench is one contestant under load.
type bench struct {
	*options
	*server
	report *report
}

func (o *options) measure(kind string, r *report) error {
	s, err := newServer(kind, o)
	if err != nil {
		return err
	}
	defer s.remove()
	b := &bench{options: o, server: s, report: r}
	if err := b.launch(); err != nil {
		return err
	}
	for _, load := range loads {
		if !wanted(o.loads, load.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", kind, load.name)
		if err := load.run(b); err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
	}
	return nil
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/memory"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet/node"
	"github.com/septet-io/septet/pki"
)

// AgentCommand is `septet agent`.
func AgentCommand() *cobra.Command {
	o := &Options{}
	return daemon.Component("agent", "Run this machine as a node of a cluster: kubelet, kube-proxy and container runtime", o.addAgent, func(ctx context.Context) error {
		return Agent(ctx, *o)
	})
}

// Agent runs a node until ctx ends. It joins by the token, unless it has joined before.
func Agent(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	p := paths{o.DataDir, o.NodeName}
	if o.Server == "" {
		return daemon.UsageError("--server: say where the cluster is: https://HOST:6443")
	}
	kubeconfig := p.pki("kubelet.kubeconfig")
	member := joined(kubeconfig, o.Server)
	if !member && o.Token == "" {
		return daemon.UsageError("--token: this machine has not joined %s yet; `septet token create` on a server makes one", o.Server)
	}
	if err := o.preflight(); err != nil {
		return err
	}
	lock, err := o.claim()
	if err != nil {
		return err
	}
	defer lock.Close()
	group, ctx := errgroup.WithContext(ctx)
	parts := startRuntime(ctx, o)
	set, err := enroll(ctx, o, p, kubeconfig, member)
	if err != nil {
		return err
	}
	if parts.facts, err = awaitFacts(ctx, set); err != nil {
		return err
	}
	group.Go(func() error { return memory.Trim(ctx) })
	parts.run(ctx, group, identity{set: set, proxy: set, journal: journal.New(0), authority: p.pki("ca.crt")})
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// enroll gets the node its certificate, if it has none, and returns its clients.
func enroll(ctx context.Context, o Options, p paths, kubeconfig string, member bool) (*client.Set, error) {
	if !member {
		token, err := parseToken(o.Token)
		if err != nil {
			return nil, err
		}
		authority, err := fetchAuthority(ctx, o.Server, token.pin)
		if err != nil {
			return nil, err
		}
		if err := pki.WriteFile(p.pki("ca.crt"), authority, 0o644); err != nil {
			return nil, err
		}
		if err := writeBootstrap(p.pki("bootstrap.kubeconfig"), o.Server, authority, token); err != nil {
			return nil, err
		}
	}
	if err := node.Bootstrap(ctx, kubeconfig, p.pki("bootstrap.kubeconfig"), p.certificates(), o.NodeName); err != nil {
		return nil, fmt.Errorf("join %s: %w", o.Server, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	config.UserAgent = daemon.UserAgent("kubelet")
	return client.New(config)
}

// awaitFacts asks what the cluster is like until it is told: the server may be starting.
func awaitFacts(ctx context.Context, set *client.Set) (clusterFacts, error) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		facts, err := readFacts(ctx, set)
		if err == nil {
			return facts, nil
		}
		klog.FromContext(ctx).V(1).Info("The server does not answer yet", "err", err)
		select {
		case <-ctx.Done():
			return facts, err
		case <-time.After(pause):
		}
	}
}

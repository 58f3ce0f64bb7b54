package cluster

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cluster/containerd"
	"github.com/septet-io/septet/cluster/network"
)

// podBridge is the network device that a node's Pods are attached to.
const podBridge = "septet0"

// nodeParts is what runs on each node, be it a server's or an agent's: runtime, kubelet, kube-proxy and Pod network.
type nodeParts struct {
	Options
	paths paths
	facts clusterFacts
	// runtime delivers the running container runtime, or why there is none.
	runtime chan runtimeStarted
}

type runtimeStarted struct {
	endpoint string
	confDir  string
	err      error
}

// startRuntime brings up the container runtime in the background: it takes longest, and needs nothing of the others.
func startRuntime(ctx context.Context, o Options) *nodeParts {
	n := &nodeParts{Options: o, paths: paths{o.DataDir, o.NodeName}, runtime: make(chan runtimeStarted, 1)}
	go func() {
		if o.RuntimeEndpoint != "" {
			n.runtime <- runtimeStarted{endpoint: o.RuntimeEndpoint, confDir: "/etc/cni/net.d"}
			return
		}
		started, err := containerd.Start(ctx, n.runtimeConfig())
		if err != nil {
			n.runtime <- runtimeStarted{err: fmt.Errorf("container runtime: %w", err)}
			return
		}
		n.runtime <- runtimeStarted{endpoint: started.Endpoint(), confDir: started.CNIConfDir()}
	}()
	return n
}

func (n *nodeParts) runtimeConfig() containerd.Config {
	return containerd.Config{
		NodeName: n.NodeName, DataDir: n.DataDir, StateDir: n.paths.runtime(), CgroupParent: n.paths.cgroup(),
	}
}

// run runs the node's parts under its own identity, when the runtime is there.
func (n *nodeParts) run(ctx context.Context, group *errgroup.Group, set *client.Set) {
	group.Go(func() error {
		started := <-n.runtime
		if started.err != nil {
			return started.err
		}
		group.Go(func() error {
			return network.Run(ctx, network.Config{
				NodeName: n.NodeName, Informers: set.Informers, ConfDir: started.confDir, Bridge: podBridge, ClusterCIDRs: []string{n.facts.podRange},
			})
		})
		return nil
	})
}

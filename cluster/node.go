package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"
	"k8s.io/kube-proxy/config/v1alpha1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cluster/containerd"
	"github.com/septet-io/septet/cluster/network"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet"
	"github.com/septet-io/septet/proxy"
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

// identity is how a node is known: its client for the API and the certificate of its kubelet's port.
type identity struct {
	set *client.Set
	// proxy are the clients of kube-proxy, which may be another identity.
	proxy *client.Set
	// journal is what the node's parts note their steps in: one for all of a process.
	journal *journal.Ring
	// authority is the file with the cluster's authority.
	authority string
	// certificate of the kubelet's port; nil: the kubelet asks the cluster for one.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// run runs the node's parts, as soon as the runtime is there.
func (n *nodeParts) run(ctx context.Context, group *errgroup.Group, who identity) {
	group.Go(func() error { return n.runProxy(ctx, who) })
	group.Go(func() error {
		started := <-n.runtime
		if started.err != nil {
			return started.err
		}
		group.Go(func() error {
			return network.Run(ctx, network.Config{
				NodeName: n.NodeName, Informers: who.proxy.Informers, ConfDir: started.confDir, Bridge: podBridge, ClusterCIDRs: []string{n.facts.podRange},
				StateDir: n.paths.runtime() + "/cni", MTU: network.MTU(n.NodeIP),
			})
		})
		return n.runKubelet(ctx, who, started.endpoint)
	})
}

func (n *nodeParts) runProxy(ctx context.Context, who identity) error {
	settings := v1alpha1.KubeProxyConfiguration{HostnameOverride: n.NodeName, ClusterCIDR: n.facts.podRange}
	proxy.SetDefaults(&settings)
	settings.MetricsBindAddress = "" // this process has metrics of its own
	return proxy.Run(ctx, proxy.Config{Clients: who.proxy, Settings: settings, Journal: who.journal})
}

func (n *nodeParts) runKubelet(ctx context.Context, who identity, endpoint string) error {
	settings := &kubeletconfig.KubeletConfiguration{}
	if n.KubeletConfig != "" {
		var err error
		if settings, err = kubelet.LoadConfiguration(n.KubeletConfig); err != nil {
			return fmt.Errorf("--kubelet-config: %w", err)
		}
	}
	n.settle(settings, who)
	config := kubelet.Config{
		Client: who.set, NodeName: n.NodeName, NodeIPs: []net.IP{net.ParseIP(n.NodeIP)}, RuntimeEndpoint: endpoint,
		RootDir: n.paths.kubelet(), CertDir: n.paths.certificates(), Configuration: settings, CloudExternal: true,
		Journal: who.journal, Certificate: who.certificate,
	}
	return kubelet.Run(ctx, config)
}

// settle fills in what the cluster says, where the administrator's file does not.
func (n *nodeParts) settle(c *kubeletconfig.KubeletConfiguration, who identity) {
	if len(c.ClusterDNS) == 0 {
		c.ClusterDNS = []string{n.facts.dns}
	}
	if c.ClusterDomain == "" {
		c.ClusterDomain = n.facts.domain
	}
	if c.Authentication.X509.ClientCAFile == "" {
		c.Authentication.X509.ClientCAFile = who.authority
	}
	if c.CgroupRoot == "" {
		c.CgroupRoot = n.paths.cgroup()
	}
	if c.StaticPodPath == "" {
		c.StaticPodPath = n.paths.manifests()
	}
	if c.PodLogsDir == "" {
		c.PodLogsDir = n.paths.podLogs()
	}
	if c.FailSwapOn == nil {
		c.FailSwapOn = ptr.To(false) // a laptop with swap is a node too: Pods get none of it
	}
	if c.FailCgroupV1 == nil {
		c.FailCgroupV1 = ptr.To(false) // many hosts have nothing else yet
	}
	c.ServerTLSBootstrap = c.ServerTLSBootstrap || who.certificate == nil
}

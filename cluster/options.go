// Package cluster wires the components into what people start: a server, which is all seven in one process, an agent,
// which is a node, and further nodes of the same machine. It decides nothing that a component could decide.
package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/daemon"
)

// Options are what a server or an agent can be told.
type Options struct {
	// DataDir holds all state; the rest is found below it.
	DataDir string
	// NodeName is this node's, the host name by default; NodeIP its address, that of the default route by default.
	NodeName string
	NodeIP   string
	// BindAddress and Port are where the API server listens.
	BindAddress string
	Port        int
	// ServerNames are further names and addresses that the API server's certificate is good for.
	ServerNames []string

	ClusterCIDR, ServiceCIDR, ClusterDNS, ClusterDomain string
	NodePorts, LoadBalancerCIDR                         string

	// DisableAgent leaves out kubelet, kube-proxy, container runtime and Pod network.
	DisableAgent bool
	// Nodes is how many nodes this machine is to have; more than one needs network namespaces.
	Nodes int

	// EtcdServers are those of an external etcd, with the files for TLS; none: the embedded one.
	EtcdServers               []string
	EtcdCA, EtcdCert, EtcdKey string
	// RuntimeEndpoint is a container runtime's socket; empty: the carried one.
	RuntimeEndpoint string
	// APIServerArgs are flags of kube-apiserver, "name=value"; apiArgs is what they say.
	APIServerArgs []string
	apiArgs       *apiserver.Args
	// KubeletConfig is a KubeletConfiguration file that is laid over the defaults.
	KubeletConfig string

	// Kubeconfig is the user's file into which the context is merged; empty: ~/.kube/config; "none": no file.
	Kubeconfig string

	// Server and Token are how an agent joins.
	Server, Token string

	// Background lets the command return when the cluster is ready, and the server go on.
	Background bool
}

// Ports of this machine that are not the API server's.
const (
	dnsPort     = 10053
	kubeletPort = 10250
)

// DefaultDataDir is where state lies unless --data-dir says otherwise.
const DefaultDataDir = "/var/lib/septet"

// addCommon adds the flags that servers and agents share.
func (o *Options) addCommon(flags *pflag.FlagSet) {
	flags.StringVar(&o.DataDir, "data-dir", DefaultDataDir, "directory of all state")
	flags.StringVar(&o.NodeName, "node-name", "", "name of this node; the host name if empty")
	flags.StringVar(&o.NodeIP, "node-ip", "", "address of this node; that of the default route if empty")
	flags.StringVar(&o.RuntimeEndpoint, "container-runtime-endpoint", "", "socket of a container runtime (unix:///…); the carried containerd if empty")
	flags.StringVar(&o.KubeletConfig, "kubelet-config", "", "KubeletConfiguration file, laid over the defaults")
}

func (o *Options) addServer(flags *pflag.FlagSet) {
	o.addCommon(flags)
	flags.StringVar(&o.BindAddress, "bind-address", "0.0.0.0", "address that the API server listens on")
	flags.IntVar(&o.Port, "port", 6443, "port that the API server listens on")
	flags.StringSliceVar(&o.ServerNames, "tls-san", nil, "further names and addresses for the API server's certificate")
	flags.StringVar(&o.ClusterCIDR, "cluster-cidr", "10.244.0.0/16", "range of Pod addresses")
	flags.StringVar(&o.ServiceCIDR, "service-cidr", "10.96.0.0/16", "range of Service addresses")
	flags.StringVar(&o.ClusterDNS, "cluster-dns", "", "address of the cluster's name server; the tenth of the Service range if empty")
	flags.StringVar(&o.ClusterDomain, "cluster-domain", "cluster.local", "domain of the cluster's names")
	flags.StringVar(&o.NodePorts, "service-node-port-range", "30000-32767", "range of node ports")
	flags.StringVar(&o.LoadBalancerCIDR, "load-balancer-cidr", "10.97.0.0/24", "range of addresses for Services of type LoadBalancer")
	flags.BoolVar(&o.DisableAgent, "disable-agent", false, "control plane only: this machine runs no Pods")
	flags.IntVar(&o.Nodes, "nodes", 1, "number of nodes on this machine; each further one has namespaces, a runtime and an agent of its own")
	flags.StringSliceVar(&o.EtcdServers, "etcd-servers", nil, "URLs of an external etcd; the embedded one if empty")
	flags.StringVar(&o.EtcdCA, "etcd-cafile", "", "CA bundle of the external etcd")
	flags.StringVar(&o.EtcdCert, "etcd-certfile", "", "client certificate for the external etcd")
	flags.StringVar(&o.EtcdKey, "etcd-keyfile", "", "key of that certificate")
	flags.StringArrayVar(&o.APIServerArgs, "kube-apiserver-arg", nil, "a flag of kube-apiserver, name=value: audit-policy-file=/etc/audit.yaml; may be repeated")
	flags.StringVar(&o.Kubeconfig, "write-kubeconfig", "", `file into which the context "septet" is merged; ~/.kube/config if empty, "none" for no file`)
	flags.BoolVar(&o.Background, "background", false, "return when the cluster is ready and let the server run on")
}

func (o *Options) addAgent(flags *pflag.FlagSet) {
	o.addCommon(flags)
	flags.StringVar(&o.Server, "server", "", "URL of a server of the cluster: https://HOST:6443")
	flags.StringVar(&o.Token, "token", os.Getenv("SEPTET_TOKEN"), "token of `septet token create`; also read from SEPTET_TOKEN")
}

// complete fills in what depends on the machine and refuses what cannot work, naming the flag.
func (o *Options) complete() error {
	if o.NodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("host name: %w (say --node-name)", err)
		}
		o.NodeName = strings.ToLower(name)
	}
	if problems := validation.IsDNS1123Subdomain(o.NodeName); len(problems) > 0 {
		return daemon.UsageError("--node-name %q: %s", o.NodeName, problems[0])
	}
	absolute, err := filepath.Abs(o.DataDir)
	if err != nil {
		return daemon.UsageError("--data-dir %q: %v", o.DataDir, err)
	}
	o.DataDir = absolute
	if o.NodeIP == "" {
		if o.NodeIP, err = defaultAddress(); err != nil {
			return err
		}
	}
	if _, err := netip.ParseAddr(o.NodeIP); err != nil {
		return daemon.UsageError("--node-ip %q is not an IP address", o.NodeIP)
	}
	return nil
}

// completeServer is complete for what only servers have.
func (o *Options) completeServer() error {
	if o.Nodes > 1 && o.NodeIP == "" {
		o.NodeIP = nodesGateway // the address that all nodes of this machine reach
	}
	if err := o.complete(); err != nil {
		return err
	}
	var err error
	if o.apiArgs, err = apiserver.ParseArgs(o.APIServerArgs); err != nil {
		return daemon.UsageError("--kube-apiserver-arg: %v", err)
	}
	for _, flag := range []struct{ name, value string }{
		{"--cluster-cidr", o.ClusterCIDR}, {"--service-cidr", o.ServiceCIDR}, {"--load-balancer-cidr", o.LoadBalancerCIDR},
	} {
		if _, err := netip.ParsePrefix(flag.value); err != nil {
			return daemon.UsageError("%s %q is not a range of addresses like 10.0.0.0/16", flag.name, flag.value)
		}
	}
	services := netip.MustParsePrefix(o.ServiceCIDR)
	if o.ClusterDNS == "" {
		address := services.Masked().Addr()
		for range 10 {
			address = address.Next()
		}
		o.ClusterDNS = address.String()
	}
	dns, err := netip.ParseAddr(o.ClusterDNS)
	if err != nil || !services.Contains(dns) {
		return daemon.UsageError("--cluster-dns %q is not an address of --service-cidr %s", o.ClusterDNS, o.ServiceCIDR)
	}
	if netip.MustParsePrefix(o.ClusterCIDR).Overlaps(services) {
		return daemon.UsageError("--cluster-cidr %s and --service-cidr %s overlap", o.ClusterCIDR, o.ServiceCIDR)
	}
	for _, other := range []struct{ name, value string }{{"--service-cidr", o.ServiceCIDR}, {"--cluster-cidr", o.ClusterCIDR}} {
		if netip.MustParsePrefix(o.LoadBalancerCIDR).Overlaps(netip.MustParsePrefix(other.value)) {
			return daemon.UsageError("--load-balancer-cidr %s and %s %s overlap", o.LoadBalancerCIDR, other.name, other.value)
		}
	}
	if _, err := netip.ParseAddr(o.BindAddress); err != nil {
		return daemon.UsageError("--bind-address %q is not an IP address", o.BindAddress)
	}
	if o.Nodes < 1 || o.Nodes > maxNodes {
		return daemon.UsageError("--nodes %d: must be 1 to %d", o.Nodes, maxNodes)
	}
	if o.Port < 1 || o.Port > 65535 {
		return daemon.UsageError("--port %d: must be 1 to 65535", o.Port)
	}
	if o.DisableAgent && o.Nodes > 1 {
		return daemon.UsageError("--disable-agent and --nodes %d contradict each other", o.Nodes)
	}
	return nil
}

// maxNodes bounds the nodes of one machine: each has its own address in nodesRange.
const maxNodes = 200

// defaultAddress is the address from which this machine would reach the world; the first global one without a default route.
func defaultAddress() (string, error) {
	// Connecting a UDP socket sends nothing: it asks the kernel for a route.
	if conn, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		if address, ok := conn.LocalAddr().(*net.UDPAddr); ok && !address.IP.IsLoopback() {
			return address.IP.String(), nil
		}
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("addresses of this machine: %w (say --node-ip)", err)
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			return network.IP.String(), nil
		}
	}
	return "", fmt.Errorf("this machine has no address but loopback: say --node-ip")
}

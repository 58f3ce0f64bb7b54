package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/proxy/conntrack"
	"github.com/septet-io/septet/proxy/plan"
)

// Config is all that the proxy can be told. Clients alone must be set.
type Config struct {
	// Clients is how the proxy reads Services, EndpointSlices and its Node. Run starts its informers.
	Clients *client.Set
	// Settings is the component's configuration. Without a Kind, SetDefaults fills in what is empty; with one it counts as it is, and
	// an empty address is a port that is not served.
	Settings v1alpha1.KubeProxyConfiguration
	// Metrics takes the proxy's metrics; nil registers none.
	Metrics prometheus.Registerer
	// Gatherer is what /metrics shows; nil serves none.
	Gatherer prometheus.Gatherer
	Journal  *journal.Ring
	// Ready, when set, is called once, when the kernel has the rules for all Services that there are at start.
	Ready func()
	// Backend is the kernel; nil opens the nftables of this process's network namespace.
	Backend Backend
}

// The modes of writing rules. Services do the same in both, and installers name iptables without needing it, so that it is taken for nftables.
const modeNFTables, modeIPTables = "nftables", "iptables"

// The modes of finding out which packets come from Pods (detectLocalMode).
const (
	localClusterCIDR = "ClusterCIDR"
	localNodeCIDR    = "NodeCIDR"
	localBridge      = "BridgeInterface"
	localPrefix      = "InterfaceNamePrefix"
)

// SetDefaults fills in upstream's defaults, and the Kind.
func SetDefaults(c *v1alpha1.KubeProxyConfiguration) {
	def := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	duration := func(d *metav1.Duration, value time.Duration) {
		if d.Duration == 0 {
			d.Duration = value
		}
	}
	c.Kind, c.APIVersion = "KubeProxyConfiguration", v1alpha1.SchemeGroupVersion.String()
	def(&c.BindAddress, "0.0.0.0")
	host, loopback := "0.0.0.0", "127.0.0.1"
	if addr, err := netip.ParseAddr(c.BindAddress); err == nil && addr.Is6() {
		host, loopback = "[::]", "[::1]"
	}
	def(&c.HealthzBindAddress, host+":10256")
	def(&c.MetricsBindAddress, loopback+":10249")
	def(&c.ClientConnection.ContentType, "application/vnd.kubernetes.protobuf")
	if c.ClientConnection.QPS == 0 {
		c.ClientConnection.QPS = 5
	}
	if c.ClientConnection.Burst == 0 {
		c.ClientConnection.Burst = 10
	}
	duration(&c.ConfigSyncPeriod, 15*time.Minute)
	duration(&c.IPTables.SyncPeriod, 30*time.Second)
	duration(&c.IPTables.MinSyncPeriod, time.Second)
	for _, bit := range []**int32{&c.IPTables.MasqueradeBit, &c.NFTables.MasqueradeBit} {
		if *bit == nil {
			*bit = ptr.To[int32](14)
		}
	}
	if c.IPTables.LocalhostNodePorts == nil {
		c.IPTables.LocalhostNodePorts = ptr.To(true)
	}
	if c.OOMScoreAdj == nil {
		c.OOMScoreAdj = ptr.To[int32](-999)
	}
	t := &c.Conntrack
	if t.MaxPerCore == nil {
		t.MaxPerCore = ptr.To[int32](32 * 1024)
	}
	if t.Min == nil {
		t.Min = ptr.To[int32](128 * 1024)
	}
	if t.TCPEstablishedTimeout == nil {
		t.TCPEstablishedTimeout = &metav1.Duration{Duration: 24 * time.Hour}
	}
	if t.TCPCloseWaitTimeout == nil {
		t.TCPCloseWaitTimeout = &metav1.Duration{Duration: time.Hour}
	}
	def(&c.Logging.Format, "text")
	if c.Logging.FlushFrequency.Duration.Duration == 0 {
		c.Logging.FlushFrequency.Duration.Duration = 5 * time.Second
		c.Logging.FlushFrequency.SerializeAsString = true
	}
}

// ReadFile reads a KubeProxyConfiguration file (kubeproxy.config.k8s.io/v1alpha1, YAML or JSON). A field that it does not have is an error.
func ReadFile(path string) (v1alpha1.KubeProxyConfiguration, error) {
	var c v1alpha1.KubeProxyConfiguration
	data, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := yaml.UnmarshalStrict(data, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if c.Kind != "KubeProxyConfiguration" || c.APIVersion != v1alpha1.SchemeGroupVersion.String() {
		return c, fmt.Errorf("%s: is %s of %s, not KubeProxyConfiguration of %s", path, c.Kind, c.APIVersion, v1alpha1.SchemeGroupVersion)
	}
	return c, nil
}

// settings are what Run makes of a configuration.
type settings struct {
	node string
	plan plan.Config
	// clusterCIDRs are the Pods' ranges, if they are told; nodeCIDR takes them from the Node instead.
	clusterCIDRs []netip.Prefix
	nodeCIDR     bool
	nodePorts    nodePorts
	minSync      time.Duration
	conntrack    conntrack.Settings
}

// nodePorts says on which addresses node ports are open: those of the node itself, those in ranges, or (neither) all.
type nodePorts struct {
	primary bool
	ranges  []netip.Prefix
}

// parse checks a configuration with its defaults set. All that is wrong is in the error.
func parse(c *v1alpha1.KubeProxyConfiguration) (settings, error) {
	var errs []error
	s := settings{node: strings.ToLower(strings.TrimSpace(c.HostnameOverride)), minSync: c.NFTables.MinSyncPeriod.Duration}
	if s.node == "" {
		host, err := os.Hostname()
		errs = append(errs, err)
		s.node = strings.ToLower(host)
	}
	if err := gates.Check(c.FeatureGates); err != nil {
		errs = append(errs, fmt.Errorf("featureGates: %w", err))
	}
	switch c.Mode {
	case "", modeNFTables, modeIPTables:
	default:
		errs = append(errs, fmt.Errorf("mode: %q is not supported: leave it empty or set nftables", c.Mode))
	}
	field, bit, all := "nftables", *c.NFTables.MasqueradeBit, c.NFTables.MasqueradeAll
	if c.Mode == modeIPTables {
		field, bit, all = "iptables", *c.IPTables.MasqueradeBit, c.IPTables.MasqueradeAll
		s.minSync = c.IPTables.MinSyncPeriod.Duration
	}
	if bit < 0 || bit > 31 {
		errs = append(errs, fmt.Errorf("%s.masqueradeBit: %d must be within the range [0, 31]", field, bit))
	} else {
		s.plan.MasqueradeMark = 1 << bit
	}
	s.plan.Node, s.plan.MasqueradeAll = s.node, all
	errs = append(errs, s.parseLocal(c), s.parseNodePorts(c.NodePortAddresses))
	s.conntrack = conntrack.Settings{
		TCPEstablished: c.Conntrack.TCPEstablishedTimeout.Duration, TCPCloseWait: c.Conntrack.TCPCloseWaitTimeout.Duration,
		UDP: c.Conntrack.UDPTimeout.Duration, UDPStream: c.Conntrack.UDPStreamTimeout.Duration, TCPLiberal: c.Conntrack.TCPBeLiberal,
	}
	if perCore := int(*c.Conntrack.MaxPerCore); perCore > 0 {
		s.conntrack.Max = max(perCore*runtime.NumCPU(), int(*c.Conntrack.Min))
	}
	return s, errors.Join(errs...)
}

func (s *settings) parseLocal(c *v1alpha1.KubeProxyConfiguration) error {
	switch c.DetectLocalMode {
	case "", localClusterCIDR:
		for _, text := range strings.Split(c.ClusterCIDR, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("clusterCIDR: %q must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)", text)
			}
			s.clusterCIDRs = append(s.clusterCIDRs, prefix.Masked())
		}
		s.plan.Inside.CIDR = len(s.clusterCIDRs) > 0
	case localNodeCIDR:
		s.nodeCIDR, s.plan.Inside.CIDR = true, true
	case localBridge:
		if s.plan.Inside.Bridge = c.DetectLocal.BridgeInterface; s.plan.Inside.Bridge == "" {
			return errors.New("detectLocal.bridgeInterface: must be set with detectLocalMode BridgeInterface")
		}
	case localPrefix:
		if s.plan.Inside.Prefix = c.DetectLocal.InterfaceNamePrefix; s.plan.Inside.Prefix == "" {
			return errors.New("detectLocal.interfaceNamePrefix: must be set with detectLocalMode InterfaceNamePrefix")
		}
	default:
		return fmt.Errorf("detectLocalMode: %q must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix", c.DetectLocalMode)
	}
	return nil
}

func (s *settings) parseNodePorts(list []string) error {
	for i, text := range list {
		if text == "primary" {
			if len(list) > 1 {
				return fmt.Errorf("nodePortAddresses[%d]: can't use both 'primary' and CIDRs", i)
			}
			s.nodePorts.primary = true
			return nil
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("nodePortAddresses[%d]: %q must be a valid CIDR block or 'primary'", i, text)
		}
		s.nodePorts.ranges = append(s.nodePorts.ranges, prefix)
	}
	return nil
}

// Package kubelet is the node agent: it registers its machine as a Node and keeps
// the pods that belong there running as their specs say, through a container
// runtime.
//
//	source ──▶ kubelet.go ──▶ pod/worker.go ──▶ pod/decide.go ──▶ pod/act.go ──▶ cri
//	 which      admits, and     gathers what     what to do,       has it done
//	 pods       routes to       is known         purely
//	            workers
//
// Beside that way lie status (how a pod is doing, and telling the API), probe,
// image, volume, cgroup, device, evict, node (the Node itself) and server (the
// agent's own port).
package kubelet

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/api/resource"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
)

// Config is what a kubelet needs to know. Client and NodeName are required; the
// zero value of everything else is the default.
type Config struct {
	// Client speaks to the API as system:node:NODENAME.
	Client *client.Set
	// NodeName is the Node's name, Hostname what pods on the node's network see
	// (NodeName).
	NodeName, Hostname string
	// NodeIPs are one address, or one of each family; the default route's.
	NodeIPs []net.IP
	// RuntimeEndpoint is the container runtime's socket, ImageEndpoint its image
	// service's; those of Configuration.
	RuntimeEndpoint, ImageEndpoint string
	// RootDir holds all that the kubelet keeps; /var/lib/kubelet.
	RootDir string
	// CertDir holds its certificates; RootDir/pki.
	CertDir string
	// ContainerLogs is the folder of links to all containers' logs;
	// /var/log/containers for the default RootDir, else RootDir/log/containers.
	ContainerLogs string
	// Configuration as read from a file; nil is all defaults. What it leaves open is
	// defaulted.
	Configuration *kubeletconfig.KubeletConfiguration
	// CloudExternal says that a cloud-controller-manager tells of the node's
	// addresses and zone; until then it carries a taint.
	CloudExternal bool
	ProviderID    string
	// Labels of the Node besides the usual ones.
	Labels map[string]string
	// Journal may be nil.
	Journal *journal.Ring
	// Certificate of the kubelet's port; by default Configuration's files, the
	// cluster's signer (serverTLSBootstrap), or a self-signed one.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs are the authorities of its clients; Configuration's clientCAFile.
	ClientCAs func() (*x509.CertPool, error)
	// PodCIDRChanged, if set, is told of the node's pod subnets, comma separated,
	// when they become known.
	PodCIDRChanged func(podCIDR string)
}

// DefaultRootDir is where a kubelet keeps what it keeps.
const DefaultRootDir = "/var/lib/kubelet"

// complete returns the configuration with every default filled in, checked.
func (c Config) complete() (Config, error) {
	if c.NodeName == "" || c.Client == nil {
		return c, fmt.Errorf("kubelet: a node name and a client are required")
	}
	if c.Hostname == "" {
		c.Hostname = c.NodeName
	}
	if c.Configuration == nil {
		c.Configuration = &kubeletconfig.KubeletConfiguration{}
	}
	c.Configuration = c.Configuration.DeepCopy()
	Default(c.Configuration)
	if c.RootDir == "" {
		c.RootDir = DefaultRootDir
	}
	root, err := filepath.Abs(c.RootDir)
	if err != nil {
		return c, fmt.Errorf("root directory: %w", err)
	}
	own := root != DefaultRootDir
	if c.RootDir = root; c.CertDir == "" {
		c.CertDir = filepath.Join(root, "pki")
	}
	if c.ContainerLogs == "" {
		if c.ContainerLogs = "/var/log/containers"; own {
			c.ContainerLogs = filepath.Join(root, "log", "containers")
		}
	}
	if own && c.Configuration.PodLogsDir == defaultPodLogs {
		// Several nodes on one machine keep their logs apart.
		c.Configuration.PodLogsDir = filepath.Join(root, "log", "pods")
	}
	if c.RuntimeEndpoint == "" {
		c.RuntimeEndpoint = c.Configuration.ContainerRuntimeEndpoint
	}
	if c.ImageEndpoint == "" {
		c.ImageEndpoint = c.Configuration.ImageServiceEndpoint
	}
	if c.ProviderID == "" {
		c.ProviderID = c.Configuration.ProviderID
	}
	return c, validate(c.Configuration)
}

// LoadConfiguration reads a KubeletConfiguration (kubelet.config.k8s.io/v1beta1)
// from a file, strictly: a field that does not exist is an error. Defaults are not
// filled in.
func LoadConfiguration(path string) (*kubeletconfig.KubeletConfiguration, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("kubelet configuration: %w", err)
	}
	config := &kubeletconfig.KubeletConfiguration{}
	if err := yaml.UnmarshalStrict(raw, config); err != nil {
		return nil, fmt.Errorf("kubelet configuration %s: %w", path, err)
	}
	if config.Kind != "KubeletConfiguration" || config.APIVersion != kubeletconfig.SchemeGroupVersion.String() {
		return nil, fmt.Errorf("kubelet configuration %s: expected KubeletConfiguration of %s, found %s of %s",
			path, kubeletconfig.SchemeGroupVersion, config.Kind, config.APIVersion)
	}
	return config, nil
}

// validate checks what would otherwise fail late, or silently.
func validate(c *kubeletconfig.KubeletConfiguration) error {
	switch {
	case *c.ImageGCLowThresholdPercent >= *c.ImageGCHighThresholdPercent:
		return fmt.Errorf("invalid configuration: imageGCLowThresholdPercent %v must be less than imageGCHighThresholdPercent %v",
			*c.ImageGCLowThresholdPercent, *c.ImageGCHighThresholdPercent)
	case c.NodeLeaseDurationSeconds <= 0:
		return fmt.Errorf("invalid configuration: nodeLeaseDurationSeconds must be greater than 0")
	case c.MaxPods <= 0:
		return fmt.Errorf("invalid configuration: maxPods %v must be greater than 0", c.MaxPods)
	case *c.ContainerLogMaxFiles < 2:
		return fmt.Errorf("invalid configuration: containerLogMaxFiles %v must be greater than 1", *c.ContainerLogMaxFiles)
	case c.CgroupDriver != driverFiles && c.CgroupDriver != driverSystemd:
		return fmt.Errorf("invalid configuration: cgroupDriver %q must be %s or %s", c.CgroupDriver, driverFiles, driverSystemd)
	}
	for name, value := range map[string][2]string{
		"cpuManagerPolicy":    {c.CPUManagerPolicy, "none"},
		"memoryManagerPolicy": {c.MemoryManagerPolicy, "None"}, "topologyManagerPolicy": {c.TopologyManagerPolicy, "none"},
	} {
		// Better refused than accepted and not done.
		if value[0] != value[1] {
			return fmt.Errorf("invalid configuration: %s %q is not supported, only %q is", name, value[0], value[1])
		}
	}
	for name, set := range map[string]bool{
		"memorySwap.swapBehavior": c.MemorySwap.SwapBehavior != "" && c.MemorySwap.SwapBehavior != "NoSwap",
		"reservedSystemCPUs":      c.ReservedSystemCPUs != "",
		"reservedMemory":          len(c.ReservedMemory) > 0,
		"qosReserved":             len(c.QOSReserved) > 0,
		"shutdownGracePeriod":     c.ShutdownGracePeriod.Duration != 0 || len(c.ShutdownGracePeriodByPodPriority) > 0,
		"protectKernelDefaults":   c.ProtectKernelDefaults,
	} {
		if set {
			return fmt.Errorf("invalid configuration: %s is not supported", name)
		}
	}
	if _, err := resource.ParseQuantity(c.ContainerLogMaxSize); err != nil {
		return fmt.Errorf("invalid configuration: containerLogMaxSize: %w", err)
	}
	return nil
}

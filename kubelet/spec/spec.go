// Package spec turns what a Pod says into what a container runtime is told:
// sandbox and container configurations, environment, mounts, security contexts,
// resource limits, DNS and host files. It reads nothing but its arguments, and
// the few host files that those name; it changes nothing.
package spec

import (
	"net"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Node is what of the node and its kubelet's configuration goes into its pods.
// It does not change while the kubelet runs, except for what its functions
// return.
type Node struct {
	Name string
	// Hostname is what pods on the host network see.
	Hostname string
	// IPs of the node, the primary one first.
	IPs func() []net.IP
	// Allocatable are the resources that pods may use: the default limits of the downward API.
	Allocatable func() v1.ResourceList
	// MemoryCapacity of the machine in bytes, for out-of-memory scores.
	MemoryCapacity int64
	// CgroupV2 says that the unified hierarchy is in use.
	CgroupV2 bool
	// SwapAccounting says that swap can be limited.
	SwapAccounting bool
	// HugePageSizes of the machine, as in resource names ("2Mi").
	HugePageSizes []string

	// RootDir is the kubelet's (/var/lib/kubelet), LogsDir that of pod logs (/var/log/pods).
	RootDir, LogsDir string

	ClusterDNS    []string
	ClusterDomain string
	// ResolvConf is the path of the host's resolver configuration; empty means none.
	ResolvConf string

	SeccompDefault bool
	// SeccompProfileRoot is the folder of Localhost seccomp profiles.
	SeccompProfileRoot string
	// CFSQuota says whether CPU limits are enforced, CFSPeriod over which
	// microseconds (100000 if zero).
	CFSQuota  bool
	CFSPeriod int64
	// SingleProcessOOMKill keeps the kernel from killing a whole container when
	// one of its processes runs out of memory (cgroup v2).
	SingleProcessOOMKill bool
}

// PodDir is the folder that holds all that a pod has on this node.
func (n *Node) PodDir(uid types.UID) string {
	return filepath.Join(n.RootDir, "pods", string(uid))
}

// ContainerDir holds a container's termination messages.
func (n *Node) ContainerDir(uid types.UID, container string) string {
	return filepath.Join(n.PodDir(uid), "containers", container)
}

// EtcHosts is the path of the hosts file that a pod's containers share.
func (n *Node) EtcHosts(uid types.UID) string { return filepath.Join(n.PodDir(uid), "etc-hosts") }

// LogDir is the folder of a pod's logs.
func (n *Node) LogDir(pod *v1.Pod) string {
	return filepath.Join(n.LogsDir, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
}

// Volume is a volume as it lies on the host, ready to be mounted into containers.
type Volume struct {
	HostPath string
	ReadOnly bool
	// SELinuxRelabel asks the runtime to give the contents the container's label.
	SELinuxRelabel bool
	// Image is set, and HostPath is not, for volumes that the runtime mounts
	// from an image.
	Image *runtimeapi.ImageSpec
}

// Kind of a container within its pod.
type Kind int

// The kinds of containers.
const (
	Regular Kind = iota
	Init
	Ephemeral
)

// Find returns the pod's container of that name and its kind; nil if there is
// none. An ephemeral container comes as the Container that it embeds.
func Find(pod *v1.Pod, name string) (*v1.Container, Kind) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i], Regular
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i], Init
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return (*v1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon), Ephemeral
		}
	}
	return nil, Regular
}

// Sidecar says whether an init container keeps running beside the others.
func Sidecar(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}

// EachContainer calls f for every container of the pod, init containers first.
func EachContainer(pod *v1.Pod, f func(*v1.Container, Kind)) {
	for i := range pod.Spec.InitContainers {
		f(&pod.Spec.InitContainers[i], Init)
	}
	for i := range pod.Spec.Containers {
		f(&pod.Spec.Containers[i], Regular)
	}
	for i := range pod.Spec.EphemeralContainers {
		f((*v1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon), Ephemeral)
	}
}

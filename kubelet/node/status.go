package node

import (
	"context"
	"fmt"
	"net"
	goruntime "runtime"
	"sort"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/device"
)

// runtimeState is what the container runtime last said of itself.
type runtimeState struct {
	version  string // "containerd://2.1.0"
	problems []string
	handlers []v1.NodeRuntimeHandler
	features *v1.NodeFeatures
	images   []v1.ContainerImage
}

// look asks the runtime how it is.
func (n *Node) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var s runtimeState
	if version, err := n.config.Runtime.Version(ctx); err != nil {
		s.problems = append(s.problems, "container runtime is down: "+err.Error())
	} else {
		s.version = version.GetRuntimeName() + "://" + strings.TrimPrefix(version.GetRuntimeVersion(), "v")
	}
	if len(s.problems) == 0 {
		status, err := n.config.Runtime.Status(ctx, false)
		if err != nil {
			s.problems = append(s.problems, "container runtime status check may not have completed yet: "+err.Error())
		} else {
			s.take(status)
		}
		if images, err := n.config.Runtime.ListImages(ctx, nil); err == nil {
			s.images = imageList(images, int(n.config.MaxImages))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.version == "" {
		s.version, s.handlers, s.features, s.images = n.runtime.version, n.runtime.handlers, n.runtime.features, n.runtime.images
	}
	n.runtime = s
}

func (s *runtimeState) take(r *runtimeapi.StatusResponse) {
	seen := map[string]bool{}
	for _, c := range r.GetStatus().GetConditions() {
		seen[c.GetType()] = true
		if c.GetStatus() || c.GetType() != runtimeapi.RuntimeReady && c.GetType() != runtimeapi.NetworkReady {
			continue
		}
		what := "container runtime not ready"
		if c.GetType() == runtimeapi.NetworkReady {
			what = "container runtime network not ready"
		}
		s.problems = append(s.problems, fmt.Sprintf("%s: %s=false reason:%s message:%s", what, c.GetType(), c.GetReason(), c.GetMessage()))
	}
	for _, required := range []string{runtimeapi.RuntimeReady, runtimeapi.NetworkReady} {
		if !seen[required] {
			s.problems = append(s.problems, "container runtime does not report "+required)
		}
	}
	for _, h := range r.GetRuntimeHandlers() {
		s.handlers = append(s.handlers, v1.NodeRuntimeHandler{Name: h.GetName(), Features: &v1.NodeRuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: ptr.To(h.GetFeatures().GetRecursiveReadOnlyMounts()),
			UserNamespaces:          ptr.To(h.GetFeatures().GetUserNamespaces()),
		}})
	}
	sort.Slice(s.handlers, func(i, j int) bool { return s.handlers[i].Name < s.handlers[j].Name })
	if f := r.GetFeatures(); f != nil {
		s.features = &v1.NodeFeatures{SupplementalGroupsPolicy: ptr.To(f.GetSupplementalGroupsPolicy())}
	}
}

// maxNames is how many names of an image the node's status lists.
const maxNames = 5

// imageList returns the largest images, for the scheduler; -1 means all.
func imageList(images []*runtimeapi.Image, limit int) []v1.ContainerImage {
	sort.SliceStable(images, func(i, j int) bool { return images[i].GetSize() > images[j].GetSize() })
	if limit >= 0 && len(images) > limit {
		images = images[:limit]
	}
	out := make([]v1.ContainerImage, 0, len(images))
	for _, image := range images {
		names := append(append([]string(nil), image.GetRepoDigests()...), image.GetRepoTags()...)
		if len(names) > maxNames {
			names = names[:maxNames]
		}
		out = append(out, v1.ContainerImage{Names: names, SizeBytes: int64(image.GetSize())})
	}
	return out
}

// Handlers says what the runtime's handlers can do, by name.
func (n *Node) Handlers() []v1.NodeRuntimeHandler {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runtime.handlers
}

// Allocatable is what pods may use on this node.
func (n *Node) Allocatable() v1.ResourceList {
	current := &v1.NodeStatus{}
	if node := n.Get(); node != nil {
		current = &node.Status
	}
	_, allocatable := n.resources(current)
	return allocatable
}

// resources are what the machine and its device plugins have, and what others say in the node's status that it has:
// extended resources without a plugin are advertised by writing them there, and are theirs to change.
func (n *Node) resources(current *v1.NodeStatus) (capacity, allocatable v1.ResourceList) {
	capacity = n.config.Machine.Capacity(n.config.MaxPods)
	allocatable = Allocatable(capacity, n.config.Reserved, n.config.EvictionReserve)
	if n.config.Extended != nil {
		more, usable := n.config.Extended()
		for name, q := range more {
			capacity[name] = q
		}
		for name, q := range usable {
			allocatable[name] = q
		}
	}
	for name, q := range current.Capacity {
		if _, own := capacity[name]; !own && device.Extended(string(name)) {
			capacity[name], allocatable[name] = q, q
		}
	}
	return capacity, allocatable
}

// status is the node's status as it is now; current is the one in the API, from
// which what others write is kept.
func (n *Node) status(current *v1.NodeStatus) *v1.NodeStatus {
	n.mu.Lock()
	rt := n.runtime
	n.mu.Unlock()
	s := current.DeepCopy()
	s.Capacity, s.Allocatable = n.resources(current)
	s.Addresses = n.addresses(current)
	s.DaemonEndpoints = v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: n.config.Port}}
	m := n.config.Machine
	s.NodeInfo = v1.NodeSystemInfo{
		MachineID: m.MachineID, SystemUUID: m.SystemUUID, BootID: m.BootID, KernelVersion: m.Kernel, OSImage: m.OSImage,
		ContainerRuntimeVersion: rt.version, KubeletVersion: n.config.KubeletVersion,
		OperatingSystem: goruntime.GOOS, Architecture: goruntime.GOARCH,
	}
	if m.Swap > 0 {
		s.NodeInfo.Swap = &v1.NodeSwapStatus{Capacity: ptr.To(m.Swap)}
	}
	s.Images = rt.images
	s.RuntimeHandlers, s.Features = rt.handlers, rt.features
	s.DeclaredFeatures = declaredFeatures
	n.conditions(s, rt.problems)
	return s
}

// declaredFeatures tell schedulers which pods can run here (KEP-5328), in order.
var declaredFeatures = []string{
	"InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers", "RestartAllContainersOnContainerExits",
}

// addresses: those that the cloud gave the node, where there is one, else its own.
func (n *Node) addresses(current *v1.NodeStatus) []v1.NodeAddress {
	if n.config.CloudExternal && n.initialized() && len(current.Addresses) > 0 {
		return current.Addresses
	}
	var out []v1.NodeAddress
	for _, ip := range n.config.IPs {
		out = append(out, v1.NodeAddress{Type: v1.NodeInternalIP, Address: ip.String()})
	}
	return append(out, v1.NodeAddress{Type: v1.NodeHostName, Address: n.config.Hostname})
}

// taintUninitialized keeps pods away from a node until its cloud has told of it.
const taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"

func (n *Node) initialized() bool {
	node := n.Get()
	if node == nil {
		return false
	}
	for _, t := range node.Spec.Taints {
		if t.Key == taintUninitialized {
			return false
		}
	}
	return true
}

// IPs of the node.
func (n *Node) IPs() []net.IP { return n.config.IPs }

func (n *Node) conditions(s *v1.NodeStatus, problems []string) {
	if n.config.Pressure != nil {
		for _, c := range n.config.Pressure() {
			setCondition(s, c)
		}
	}
	if n.config.Problems != nil {
		problems = append(append([]string(nil), problems...), n.config.Problems()...)
	}
	ready := v1.NodeCondition{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	if len(problems) > 0 {
		ready.Status, ready.Reason, ready.Message = v1.ConditionFalse, "KubeletNotReady", problems[0]
		if len(problems) > 1 {
			ready.Message = "[" + strings.Join(problems, ", ") + "]"
		}
	}
	setCondition(s, ready)
}

// setCondition puts a condition in, with the time of its transition.
func setCondition(s *v1.NodeStatus, c v1.NodeCondition) {
	now := metav1.Now()
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	for i := range s.Conditions {
		if old := &s.Conditions[i]; old.Type == c.Type {
			if old.Status == c.Status && !old.LastTransitionTime.IsZero() {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}

// Ready says whether the node is ready as far as this node knows.
func (n *Node) Ready() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.runtime.version != "" && len(n.runtime.problems) == 0
}

package pod

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/spec"
)

// Host is what the workers of all pods on a node share. All fields but those
// marked optional are required, and none changes once workers run.
type Host struct {
	Node        *spec.Node
	Runtime     cri.Runtime
	RuntimeName string
	Images      *image.Images
	Volumes     Volumes
	Cgroups     Cgroups
	Objects     Objects
	Prober      *probe.Prober
	Status      Status
	Recorder    record.EventRecorder
	// Services of the cluster, for service variables.
	Services func() []*v1.Service
	// Handler returns the runtime handler of the pod's runtime class.
	Handler func(pod *v1.Pod) (string, error)
	// Features says what the runtime can do with a handler.
	Features func(handler string) Features
	// UserIDs hands out the ids of pods in user namespaces of their own.
	UserIDs UserIDs
	// LongestBackoff bounds the delay between restarts.
	LongestBackoff time.Duration
	// ContainerLogLinks is the folder of links to all logs (/var/log/containers).
	ContainerLogLinks string
	// Devices is optional: what device plugins add to containers.
	Devices Devices
	// Journal is optional.
	Journal *journal.Ring
	// Gone is told when a worker has ended and nothing of its pod is left.
	Gone func(types.UID)
}

// Volumes gives pods their volumes. It is implemented by kubelet/volume.
type Volumes interface {
	// Mount makes all of the pod's volumes exist and returns them by name, with the
	// groups that its processes need to reach them. The error joins one for each
	// volume that is missing; each is the message of an event.
	Mount(ctx context.Context, pod *v1.Pod) (map[string]spec.Volume, []int64, error)
	// SubPath prepares a part of a volume for one mount of a container.
	SubPath(pod types.UID, container string, index int, name string, volume spec.Volume, path string) (string, error)
	// Unmount takes all of the pod's volumes away.
	Unmount(ctx context.Context, pod types.UID) error
}

// Cgroups keeps the pods' control groups. It is implemented by kubelet/cgroup.
type Cgroups interface {
	// EnsurePod makes the pod's group with its limits and returns its path.
	EnsurePod(pod *v1.Pod) (string, error)
	// RemovePod removes it, and kills what still runs in it.
	RemovePod(uid types.UID) error
}

// Objects reads the ConfigMaps and Secrets of pods that said that they use them.
type Objects interface {
	spec.Objects
	// Use says which objects a pod refers to now; none, when it is gone.
	Use(pod types.UID, of *v1.Pod)
}

// Status takes the pods' statuses to the API. It is implemented by status.Writer.
type Status interface {
	Set(ctx context.Context, pod *v1.Pod, s *v1.PodStatus)
	Finish(ctx context.Context, pod *v1.Pod)
}

// Features are what a runtime handler can do.
type Features struct{ RecursiveReadOnly, UserNamespaces bool }

// UserIDs hands out ranges of user ids.
type UserIDs interface {
	// Acquire returns the pod's range, the same one each time.
	Acquire(pod types.UID) (*spec.IDMaps, error)
	Release(pod types.UID)
}

// Devices is what device plugins add to containers.
type Devices interface {
	// Allocate returns what the container is to get for its extended resources.
	Allocate(ctx context.Context, pod *v1.Pod, c *v1.Container) (*Allocation, error)
	// Release frees what the pod had.
	Release(pod types.UID)
}

// Allocation is what a container gets from device plugins.
type Allocation struct {
	Env         map[string]string
	Mounts      []*runtimeapi.Mount
	Devices     []*runtimeapi.Device
	CDIDevices  []*runtimeapi.CDIDevice
	Annotations map[string]string
}

// event records an event about the pod or, if container is not empty, one of its
// containers.
func (h *Host) event(pod *v1.Pod, container, kind, reason, message string) {
	h.Recorder.Event(cri.Reference(pod, container), kind, reason, message)
}

// note writes down a step that began at a time.
func (h *Host) note(pod *v1.Pod, step, note string, began time.Time) {
	if h.Journal == nil {
		return
	}
	record := journal.Record{
		Component: "kubelet", Step: step, Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		Saw: pod.ResourceVersion, Note: note, Node: h.Node.Name,
	}
	if !began.IsZero() {
		record.Duration = time.Since(began)
	}
	h.Journal.Note(record)
}

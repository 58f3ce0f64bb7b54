// Package cri is the kubelet's border to the container runtime: what the
// kubelet asks of a runtime (Runtime), how it is asked over the Container
// Runtime Interface v1 (Remote), and what the kubelet remembers of the answers
// (Pod, Sandbox, Container).
//
// Everything the kubelet knows of running containers comes through here and is
// marked on the containers themselves by labels and annotations (labels.go), so
// that a restarted kubelet, or upstream's, finds its containers again.
package cri

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Runtime is a container runtime. Its methods are the CRI's own calls with
// requests unwrapped; every error is the runtime's gRPC status error, so that
// status.Code tells its kind. Implementations are safe for concurrent use.
type Runtime interface {
	Sandboxes
	Containers
	Streams
	Images
	Stats

	// Version says the runtime's name and version.
	Version(ctx context.Context) (*runtimeapi.VersionResponse, error)
	// Status reports the RuntimeReady and NetworkReady conditions, the runtime
	// handlers and their features.
	Status(ctx context.Context, verbose bool) (*runtimeapi.StatusResponse, error)
	// RuntimeConfig asks for the cgroup driver; codes.Unimplemented on old runtimes.
	RuntimeConfig(ctx context.Context) (*runtimeapi.RuntimeConfigResponse, error)
	// UpdatePodCIDR tells the runtime the node's pod subnets, comma separated.
	UpdatePodCIDR(ctx context.Context, podCIDR string) error
	// Events calls sink for every container event until the stream ends, and
	// returns why it ended. opened, when not nil, is called once the stream is
	// open. codes.Unimplemented means that the runtime has no events.
	Events(ctx context.Context, opened func(), sink func(*runtimeapi.ContainerEventResponse)) error
}

// Sandboxes are the calls about pod sandboxes.
type Sandboxes interface {
	RunPodSandbox(ctx context.Context, config *runtimeapi.PodSandboxConfig, handler string) (string, error)
	StopPodSandbox(ctx context.Context, id string) error
	RemovePodSandbox(ctx context.Context, id string) error
	PodSandboxStatus(ctx context.Context, id string) (*runtimeapi.PodSandboxStatus, error)
	// ListPodSandbox lists sandboxes; a nil filter lists all.
	ListPodSandbox(ctx context.Context, filter *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error)
	UpdatePodSandboxResources(ctx context.Context, id string, overhead, resources *runtimeapi.LinuxContainerResources) error
}

// Containers are the calls about containers.
type Containers interface {
	CreateContainer(ctx context.Context, sandboxID string, config *runtimeapi.ContainerConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error)
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the stop signal, and after grace the kill signal.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	RemoveContainer(ctx context.Context, id string) error
	ContainerStatus(ctx context.Context, id string, verbose bool) (*runtimeapi.ContainerStatusResponse, error)
	// ListContainers lists containers; a nil filter lists all.
	ListContainers(ctx context.Context, filter *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error)
	UpdateContainerResources(ctx context.Context, id string, resources *runtimeapi.LinuxContainerResources) error
	// ReopenContainerLog makes the runtime open the log path anew after rotation.
	ReopenContainerLog(ctx context.Context, id string) error
}

// Streams are the calls that run commands in containers and those that return
// the address of the runtime's streaming server.
type Streams interface {
	// ExecSync runs a command to its end; timeout 0 means none. A command that
	// exceeds it fails with codes.DeadlineExceeded.
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (*runtimeapi.ExecSyncResponse, error)
	Exec(ctx context.Context, request *runtimeapi.ExecRequest) (string, error)
	Attach(ctx context.Context, request *runtimeapi.AttachRequest) (string, error)
	PortForward(ctx context.Context, request *runtimeapi.PortForwardRequest) (string, error)
}

// Images are the calls of the image service.
type Images interface {
	ListImages(ctx context.Context, filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error)
	// ImageStatus returns nil, without error, for an image that is not present.
	ImageStatus(ctx context.Context, image *runtimeapi.ImageSpec) (*runtimeapi.Image, error)
	PullImage(ctx context.Context, image *runtimeapi.ImageSpec, auth *runtimeapi.AuthConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error)
	RemoveImage(ctx context.Context, image *runtimeapi.ImageSpec) error
	ImageFsInfo(ctx context.Context) (*runtimeapi.ImageFsInfoResponse, error)
}

// Stats are the calls about resource use.
type Stats interface {
	ContainerStats(ctx context.Context, id string) (*runtimeapi.ContainerStats, error)
	ListContainerStats(ctx context.Context, filter *runtimeapi.ContainerStatsFilter) ([]*runtimeapi.ContainerStats, error)
	PodSandboxStats(ctx context.Context, id string) (*runtimeapi.PodSandboxStats, error)
	ListPodSandboxStats(ctx context.Context, filter *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error)
	ListMetricDescriptors(ctx context.Context) ([]*runtimeapi.MetricDescriptor, error)
	ListPodSandboxMetrics(ctx context.Context) ([]*runtimeapi.PodSandboxMetrics, error)
}

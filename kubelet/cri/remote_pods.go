package cri

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunPodSandbox implements Sandboxes. A sandbox needs CNI and maybe the pause
// image, so it gets twice the time of other calls, as upstream's does.
func (r *Remote) RunPodSandbox(ctx context.Context, config *runtimeapi.PodSandboxConfig, handler string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.timeout)
	defer cancel()
	resp, err := r.runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	return resp.GetPodSandboxId(), err
}

// StopPodSandbox implements Sandboxes.
func (r *Remote) StopPodSandbox(ctx context.Context, id string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id})
	return err
}

// RemovePodSandbox implements Sandboxes.
func (r *Remote) RemovePodSandbox(ctx context.Context, id string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}

// PodSandboxStatus implements Sandboxes.
func (r *Remote) PodSandboxStatus(ctx context.Context, id string) (*runtimeapi.PodSandboxStatus, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	return resp.GetStatus(), err
}

// ListPodSandbox implements Sandboxes.
func (r *Remote) ListPodSandbox(ctx context.Context, filter *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: filter})
	return resp.GetItems(), err
}

// UpdatePodSandboxResources implements Sandboxes.
func (r *Remote) UpdatePodSandboxResources(ctx context.Context, id string, overhead, resources *runtimeapi.LinuxContainerResources) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.UpdatePodSandboxResources(ctx, &runtimeapi.UpdatePodSandboxResourcesRequest{
		PodSandboxId: id, Overhead: overhead, Resources: resources,
	})
	return err
}

// CreateContainer implements Containers.
func (r *Remote) CreateContainer(ctx context.Context, sandboxID string, config *runtimeapi.ContainerConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
		PodSandboxId: sandboxID, Config: config, SandboxConfig: sandbox,
	})
	return resp.GetContainerId(), err
}

// StartContainer implements Containers.
func (r *Remote) StartContainer(ctx context.Context, id string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: id})
	return err
}

// StopContainer implements Containers. The grace comes on top of the time that
// any call has.
func (r *Remote) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout+grace)
	defer cancel()
	seconds := int64((grace + time.Second - 1) / time.Second)
	_, err := r.runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: seconds})
	return err
}

// RemoveContainer implements Containers.
func (r *Remote) RemoveContainer(ctx context.Context, id string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return err
}

// ContainerStatus implements Containers.
func (r *Remote) ContainerStatus(ctx context.Context, id string, verbose bool) (*runtimeapi.ContainerStatusResponse, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id, Verbose: verbose})
}

// ListContainers implements Containers.
func (r *Remote) ListContainers(ctx context.Context, filter *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: filter})
	return resp.GetContainers(), err
}

// UpdateContainerResources implements Containers.
func (r *Remote) UpdateContainerResources(ctx context.Context, id string, resources *runtimeapi.LinuxContainerResources) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.UpdateContainerResources(ctx, &runtimeapi.UpdateContainerResourcesRequest{ContainerId: id, Linux: resources})
	return err
}

// ReopenContainerLog implements Containers.
func (r *Remote) ReopenContainerLog(ctx context.Context, id string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: id})
	return err
}

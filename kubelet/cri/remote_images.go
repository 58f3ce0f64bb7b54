package cri

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ExecSync implements Streams.
func (r *Remote) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (*runtimeapi.ExecSyncResponse, error) {
	if timeout > 0 {
		// The runtime ends the command itself; the margin lets its answer arrive.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout+r.timeout)
		defer cancel()
	}
	seconds := int64((timeout + time.Second - 1) / time.Second)
	return r.runtime.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: seconds})
}

// Exec implements Streams.
func (r *Remote) Exec(ctx context.Context, request *runtimeapi.ExecRequest) (string, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.Exec(ctx, request)
	return resp.GetUrl(), err
}

// Attach implements Streams.
func (r *Remote) Attach(ctx context.Context, request *runtimeapi.AttachRequest) (string, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.Attach(ctx, request)
	return resp.GetUrl(), err
}

// PortForward implements Streams.
func (r *Remote) PortForward(ctx context.Context, request *runtimeapi.PortForwardRequest) (string, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.PortForward(ctx, request)
	return resp.GetUrl(), err
}

// ListImages implements Images.
func (r *Remote) ListImages(ctx context.Context, filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.images.ListImages(ctx, &runtimeapi.ListImagesRequest{Filter: filter})
	return resp.GetImages(), err
}

// ImageStatus implements Images.
func (r *Remote) ImageStatus(ctx context.Context, image *runtimeapi.ImageSpec) (*runtimeapi.Image, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: image})
	return resp.GetImage(), err
}

// PullImage implements Images. A pull may take as long as it needs: the runtime
// gives up by itself when nothing arrives any more.
func (r *Remote) PullImage(ctx context.Context, image *runtimeapi.ImageSpec, auth *runtimeapi.AuthConfig, sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	resp, err := r.images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: image, Auth: auth, SandboxConfig: sandbox})
	return resp.GetImageRef(), err
}

// RemoveImage implements Images.
func (r *Remote) RemoveImage(ctx context.Context, image *runtimeapi.ImageSpec) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.images.RemoveImage(ctx, &runtimeapi.RemoveImageRequest{Image: image})
	return err
}

// ImageFsInfo implements Images.
func (r *Remote) ImageFsInfo(ctx context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.images.ImageFsInfo(ctx, &runtimeapi.ImageFsInfoRequest{})
}

// ContainerStats implements Stats.
func (r *Remote) ContainerStats(ctx context.Context, id string) (*runtimeapi.ContainerStats, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ContainerStats(ctx, &runtimeapi.ContainerStatsRequest{ContainerId: id})
	return resp.GetStats(), err
}

// ListContainerStats implements Stats.
func (r *Remote) ListContainerStats(ctx context.Context, filter *runtimeapi.ContainerStatsFilter) ([]*runtimeapi.ContainerStats, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListContainerStats(ctx, &runtimeapi.ListContainerStatsRequest{Filter: filter})
	return resp.GetStats(), err
}

// PodSandboxStats implements Stats.
func (r *Remote) PodSandboxStats(ctx context.Context, id string) (*runtimeapi.PodSandboxStats, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.PodSandboxStats(ctx, &runtimeapi.PodSandboxStatsRequest{PodSandboxId: id})
	return resp.GetStats(), err
}

// ListPodSandboxStats implements Stats.
func (r *Remote) ListPodSandboxStats(ctx context.Context, filter *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListPodSandboxStats(ctx, &runtimeapi.ListPodSandboxStatsRequest{Filter: filter})
	return resp.GetStats(), err
}

// ListMetricDescriptors implements Stats.
func (r *Remote) ListMetricDescriptors(ctx context.Context) ([]*runtimeapi.MetricDescriptor, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListMetricDescriptors(ctx, &runtimeapi.ListMetricDescriptorsRequest{})
	return resp.GetDescriptors(), err
}

// ListPodSandboxMetrics implements Stats.
func (r *Remote) ListPodSandboxMetrics(ctx context.Context) ([]*runtimeapi.PodSandboxMetrics, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	resp, err := r.runtime.ListPodSandboxMetrics(ctx, &runtimeapi.ListPodSandboxMetricsRequest{})
	return resp.GetPodMetrics(), err
}

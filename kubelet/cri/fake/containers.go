package fake

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RemoveContainer implements the CRI.
func (s *Server) RemoveContainer(_ context.Context, r *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[r.GetContainerId()]; c != nil {
		s.exit(c, 137, "")
		delete(s.containers, r.GetContainerId())
		s.emit(r.GetContainerId(), c.sandboxID, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	}
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// ContainerStatus implements the CRI.
func (s *Server) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "container %s not found", r.GetContainerId())
	}
	return &runtimeapi.ContainerStatusResponse{Status: c.status}, nil
}

// ListContainers implements the CRI.
func (s *Server) ListContainers(_ context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.GetFilter()
	out := &runtimeapi.ListContainersResponse{}
	for id, c := range s.containers {
		st := c.status
		if f.GetId() != "" && f.GetId() != id || f.GetPodSandboxId() != "" && f.GetPodSandboxId() != c.sandboxID ||
			f.GetState() != nil && f.GetState().GetState() != st.State || !matches(f.GetLabelSelector(), st.Labels) {
			continue
		}
		out.Containers = append(out.Containers, &runtimeapi.Container{
			Id: id, PodSandboxId: c.sandboxID, Metadata: st.Metadata, Image: st.Image, ImageRef: st.ImageRef, ImageId: st.ImageId,
			State: st.State, CreatedAt: st.CreatedAt, Labels: st.Labels, Annotations: st.Annotations,
		})
	}
	return out, nil
}

// UpdateContainerResources implements the CRI.
func (s *Server) UpdateContainerResources(_ context.Context, r *runtimeapi.UpdateContainerResourcesRequest) (*runtimeapi.UpdateContainerResourcesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "container %s not found", r.GetContainerId())
	}
	s.change(c, func(st *runtimeapi.ContainerStatus) {
		st.Resources = &runtimeapi.ContainerResources{Linux: r.GetLinux()}
	})
	return &runtimeapi.UpdateContainerResourcesResponse{}, nil
}

// ReopenContainerLog implements the CRI.
func (s *Server) ReopenContainerLog(context.Context, *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}

// ExecSync implements the CRI.
func (s *Server) ExecSync(_ context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	s.mu.Lock()
	c := s.containers[r.GetContainerId()]
	s.mu.Unlock()
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "container %s not found", r.GetContainerId())
	}
	if s.config.Exec == nil {
		return &runtimeapi.ExecSyncResponse{}, nil
	}
	output, code := s.config.Exec(c.config, r.GetCmd())
	return &runtimeapi.ExecSyncResponse{Stdout: []byte(output), ExitCode: code}, nil
}

// ListContainerStats implements the CRI. Nothing runs, so nothing is used.
func (s *Server) ListContainerStats(context.Context, *runtimeapi.ListContainerStatsRequest) (*runtimeapi.ListContainerStatsResponse, error) {
	return &runtimeapi.ListContainerStatsResponse{}, nil
}

// ListPodSandboxStats implements the CRI.
func (s *Server) ListPodSandboxStats(context.Context, *runtimeapi.ListPodSandboxStatsRequest) (*runtimeapi.ListPodSandboxStatsResponse, error) {
	return &runtimeapi.ListPodSandboxStatsResponse{}, nil
}

// imageOf is the image of that name: any name is one, where none is missing. The
// lock is held.
func (s *Server) imageOf(name string) *runtimeapi.Image {
	if image := s.images[name]; image != nil {
		return image
	}
	for _, image := range s.images {
		if image.GetId() == name {
			return image
		}
	}
	if s.config.Missing || name == "" {
		return nil
	}
	return s.addImage(name)
}

// addImage makes up an image. The lock is held.
func (s *Server) addImage(name string) *runtimeapi.Image {
	h := fnv.New64a()
	h.Write([]byte(name))
	image := &runtimeapi.Image{Id: fmt.Sprintf("sha256:%064x", h.Sum64()), RepoTags: []string{name}, Size: 1 << 20, Username: "1000"}
	s.images[name] = image
	return image
}

// ImageStatus implements the CRI.
func (s *Server) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &runtimeapi.ImageStatusResponse{Image: s.imageOf(r.GetImage().GetImage())}, nil
}

// PullImage implements the CRI.
func (s *Server) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	if s.config.Pull != nil {
		if err := s.config.Pull(r.GetImage().GetImage(), r.GetAuth()); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &runtimeapi.PullImageResponse{ImageRef: s.addImage(r.GetImage().GetImage()).GetId()}, nil
}

// ListImages implements the CRI.
func (s *Server) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &runtimeapi.ListImagesResponse{}
	for _, image := range s.images {
		out.Images = append(out.Images, image)
	}
	return out, nil
}

// RemoveImage implements the CRI.
func (s *Server) RemoveImage(_ context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, image := range s.images {
		if name == r.GetImage().GetImage() || image.GetId() == r.GetImage().GetImage() {
			delete(s.images, name)
		}
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}

// ImageFsInfo implements the CRI.
func (s *Server) ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	usage := []*runtimeapi.FilesystemUsage{{
		Timestamp: time.Now().UnixNano(), FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: "/"}, UsedBytes: &runtimeapi.UInt64Value{}, InodesUsed: &runtimeapi.UInt64Value{},
	}}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

// SandboxOf returns the id of the sandbox that a container is in.
func (s *Server) SandboxOf(containerID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[containerID]; c != nil {
		return c.sandboxID
	}
	return ""
}

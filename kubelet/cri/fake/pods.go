package fake

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func fields(command []string) []string { return strings.Fields(strings.Join(command, " ")) }

func (s *Server) pause(ctx context.Context) error {
	if s.config.Delay == 0 {
		return nil
	}
	select {
	case <-time.After(s.config.Delay):
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// RunPodSandbox implements the CRI.
func (s *Server) RunPodSandbox(ctx context.Context, r *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	config := r.GetConfig()
	id := s.id("5")
	st := &runtimeapi.PodSandboxStatus{
		Id: id, Metadata: config.GetMetadata(), State: runtimeapi.PodSandboxState_SANDBOX_READY, CreatedAt: time.Now().UnixNano(),
		Network: &runtimeapi.PodSandboxNetworkStatus{}, Labels: config.GetLabels(), Annotations: config.GetAnnotations(),
		RuntimeHandler: r.GetRuntimeHandler(),
		Linux:          &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{Options: config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}
	if st.GetLinux().GetNamespaces().GetOptions().GetNetwork() != runtimeapi.NamespaceMode_NODE {
		st.Network.Ip = s.address()
	}
	s.sandboxes[id] = &sandbox{status: st, config: config}
	s.emit(id, id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	s.emit(id, id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

// StopPodSandbox implements the CRI.
func (s *Server) StopPodSandbox(_ context.Context, r *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopSandbox(r.GetPodSandboxId())
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

// stopSandbox stops a sandbox and all in it. The lock is held.
func (s *Server) stopSandbox(id string) {
	sb := s.sandboxes[id]
	if sb == nil {
		return
	}
	for _, c := range s.containers {
		if c.sandboxID == id {
			s.exit(c, 137, "Error")
		}
	}
	if sb.status.State == runtimeapi.PodSandboxState_SANDBOX_READY {
		next := proto.Clone(sb.status).(*runtimeapi.PodSandboxStatus)
		next.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		sb.status = next
		s.emit(id, id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
	}
}

// RemovePodSandbox implements the CRI.
func (s *Server) RemovePodSandbox(_ context.Context, r *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.GetPodSandboxId()
	s.stopSandbox(id)
	for cid, c := range s.containers {
		if c.sandboxID == id {
			delete(s.containers, cid)
			s.emit(cid, id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
		}
	}
	if s.sandboxes[id] != nil {
		s.emit(id, id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
		delete(s.sandboxes, id)
	}
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

// PodSandboxStatus implements the CRI.
func (s *Server) PodSandboxStatus(_ context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sb := s.sandboxes[r.GetPodSandboxId()]
	if sb == nil {
		return nil, status.Errorf(codes.NotFound, "sandbox %s not found", r.GetPodSandboxId())
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: sb.status}, nil
}

// ListPodSandbox implements the CRI.
func (s *Server) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.GetFilter()
	out := &runtimeapi.ListPodSandboxResponse{}
	for id, sb := range s.sandboxes {
		if f.GetId() != "" && f.GetId() != id || f.GetState() != nil && f.GetState().GetState() != sb.status.State || !matches(f.GetLabelSelector(), sb.status.Labels) {
			continue
		}
		out.Items = append(out.Items, &runtimeapi.PodSandbox{
			Id: id, Metadata: sb.status.Metadata, State: sb.status.State, CreatedAt: sb.status.CreatedAt,
			Labels: sb.status.Labels, Annotations: sb.status.Annotations, RuntimeHandler: sb.status.RuntimeHandler,
		})
	}
	return out, nil
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// CreateContainer implements the CRI.
func (s *Server) CreateContainer(ctx context.Context, r *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sb := s.sandboxes[r.GetPodSandboxId()]
	if sb == nil {
		return nil, status.Errorf(codes.NotFound, "sandbox %s not found", r.GetPodSandboxId())
	}
	config := r.GetConfig()
	script := scriptOf(config)
	if s.config.Script != nil {
		script = s.config.Script(config)
	}
	id := s.id("c")
	st := &runtimeapi.ContainerStatus{
		Id: id, Metadata: config.GetMetadata(), State: runtimeapi.ContainerState_CONTAINER_CREATED, CreatedAt: time.Now().UnixNano(),
		Image:    &runtimeapi.ImageSpec{Image: config.GetImage().GetImage(), UserSpecifiedImage: config.GetImage().GetUserSpecifiedImage()},
		ImageRef: config.GetImage().GetImage(), ImageId: config.GetImage().GetImage(), Labels: config.GetLabels(), Annotations: config.GetAnnotations(),
		Mounts: config.GetMounts(), LogPath: filepath.Join(sb.config.GetLogDirectory(), config.GetLogPath()),
		Resources: &runtimeapi.ContainerResources{Linux: config.GetLinux().GetResources()},
		User: &runtimeapi.ContainerUser{Linux: &runtimeapi.LinuxContainerUser{
			Uid: config.GetLinux().GetSecurityContext().GetRunAsUser().GetValue(), Gid: config.GetLinux().GetSecurityContext().GetRunAsGroup().GetValue(),
			SupplementalGroups: config.GetLinux().GetSecurityContext().GetSupplementalGroups(),
		}},
		StopSignal: config.GetStopSignal(),
	}
	s.containers[id] = &container{status: st, config: config, sandboxID: sb.status.Id, script: script, stopped: make(chan struct{})}
	s.emit(id, sb.status.Id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

// StartContainer implements the CRI.
func (s *Server) StartContainer(ctx context.Context, r *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[r.GetContainerId()]
	if c == nil {
		return nil, status.Errorf(codes.NotFound, "container %s not found", r.GetContainerId())
	}
	if c.status.State != runtimeapi.ContainerState_CONTAINER_CREATED {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s is not in created state", c.status.Id)
	}
	s.change(c, func(st *runtimeapi.ContainerStatus) {
		st.State, st.StartedAt = runtimeapi.ContainerState_CONTAINER_RUNNING, time.Now().UnixNano()
	})
	if c.script.CannotStart != "" {
		s.exit(c, 128, "StartError")
		return nil, status.Error(codes.Unknown, c.script.CannotStart)
	}
	s.emit(c.status.Id, c.sandboxID, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	if c.script.Exits {
		time.AfterFunc(c.script.After, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.exit(c, c.script.Code, "")
		})
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

// change replaces a container's status: what was handed out stays as it was. The
// lock is held.
func (s *Server) change(c *container, f func(*runtimeapi.ContainerStatus)) {
	next := proto.Clone(c.status).(*runtimeapi.ContainerStatus)
	f(next)
	c.status = next
}

// exit ends a container. The lock is held.
func (s *Server) exit(c *container, code int32, reason string) {
	if c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return
	}
	if reason == "" {
		reason = "Completed"
		if code != 0 {
			reason = "Error"
		}
	}
	if c.script.Message != "" {
		for _, m := range c.config.GetMounts() {
			if m.GetContainerPath() == c.config.GetAnnotations()["io.kubernetes.container.terminationMessagePath"] {
				_ = os.WriteFile(m.GetHostPath(), []byte(c.script.Message), 0o666) // a message that is not there shows in the test
			}
		}
	}
	s.change(c, func(st *runtimeapi.ContainerStatus) {
		st.State, st.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, time.Now().UnixNano()
		st.ExitCode, st.Reason = code, reason
	})
	close(c.stopped)
	s.emit(c.status.Id, c.sandboxID, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// Kill ends a running container as if its process had died.
func (s *Server) Kill(id string, code int32, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[id]
	if c == nil || c.status.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return false
	}
	s.exit(c, code, reason)
	return true
}

// KillSandbox ends a sandbox as if its own process had died.
func (s *Server) KillSandbox(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopSandbox(id)
}

// StopContainer implements the CRI.
func (s *Server) StopContainer(ctx context.Context, r *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	s.mu.Lock()
	c := s.containers[r.GetContainerId()]
	s.mu.Unlock()
	if c == nil {
		return &runtimeapi.StopContainerResponse{}, nil
	}
	grace := time.Duration(r.GetTimeout()) * time.Second
	code := int32(143)
	if c.script.StopDelay > grace {
		code = 137
	}
	if wait := min(c.script.StopDelay, grace); wait > 0 {
		select {
		case <-time.After(wait):
		case <-c.stopped:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exit(c, code, "")
	return &runtimeapi.StopContainerResponse{}, nil
}

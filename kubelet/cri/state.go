package cri

import (
	"sort"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// State of a container.
type State string

// The states of a container. Unknown is the runtime's own word for one that it
// lost track of.
const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
	Unknown State = "unknown"
)

// Pod is what the runtime holds of one pod. Sandboxes and Containers are ordered
// newest first.
type Pod struct {
	UID             types.UID
	Name, Namespace string
	Sandboxes       []*Sandbox
	Containers      []*Container
}

// Sandbox is one pod sandbox.
type Sandbox struct {
	ID          string
	Attempt     uint32
	Ready       bool
	HostNetwork bool
	CreatedAt   time.Time
	// IPs are the pod's addresses, the primary one first; none on the host network.
	IPs     []string
	Handler string
}

// Container is one instance of a container; a restart makes another.
type Container struct {
	ID, Name  string
	SandboxID string
	State     State
	// RestartCount is how often the container had been started before this instance.
	RestartCount                     int
	CreatedAt, StartedAt, FinishedAt time.Time
	ExitCode                         int32
	Reason, Message                  string
	// Image is the reference it was created from, ImageRef the digest reference
	// (or image id) that this stood for, ImageID the runtime's id.
	Image, ImageRef, ImageID string
	Hash                     string
	LogPath                  string
	// TerminationFile is the host's path of the termination message.
	TerminationFile string
	Annotations     map[string]string
	Resources       *runtimeapi.LinuxContainerResources
	User            *runtimeapi.LinuxContainerUser
	StopSignal      runtimeapi.Signal
	Mounts          []*runtimeapi.Mount
}

// Sandbox returns the newest sandbox, nil if there is none.
func (p *Pod) Sandbox() *Sandbox {
	if p == nil || len(p.Sandboxes) == 0 {
		return nil
	}
	return p.Sandboxes[0]
}

// Latest returns the newest instance of the named container in any sandbox, nil
// if there is none.
func (p *Pod) Latest(name string) *Container { return p.instance(name, 0) }

// Previous returns the instance before the newest.
func (p *Pod) Previous(name string) *Container { return p.instance(name, 1) }

func (p *Pod) instance(name string, skip int) *Container {
	if p == nil {
		return nil
	}
	for _, c := range p.Containers {
		if c.Name != name {
			continue
		}
		if skip == 0 {
			return c
		}
		skip--
	}
	return nil
}

// ByID returns the container of that id, nil if there is none.
func (p *Pod) ByID(id string) *Container {
	for _, c := range p.Containers {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// AnyRunning says whether a container runs or might.
func (p *Pod) AnyRunning() bool {
	for _, c := range p.Containers {
		if c.State == Running || c.State == Unknown {
			return true
		}
	}
	return false
}

// PutContainer adds c, or replaces the container of its id.
func (p *Pod) PutContainer(c *Container) {
	for i, old := range p.Containers {
		if old.ID == c.ID {
			if c.SandboxID == "" {
				c.SandboxID = old.SandboxID
			}
			p.Containers[i] = c
			return
		}
	}
	p.Containers = append(p.Containers, c)
	p.sort()
}

// DropContainer forgets the container of that id.
func (p *Pod) DropContainer(id string) {
	for i, c := range p.Containers {
		if c.ID == id {
			p.Containers = append(p.Containers[:i:i], p.Containers[i+1:]...)
			return
		}
	}
}

// PutSandbox adds s, or replaces the sandbox of its id.
func (p *Pod) PutSandbox(s *Sandbox) {
	for i, old := range p.Sandboxes {
		if old.ID == s.ID {
			p.Sandboxes[i] = s
			return
		}
	}
	p.Sandboxes = append(p.Sandboxes, s)
	p.sort()
}

// DropSandbox forgets the sandbox of that id.
func (p *Pod) DropSandbox(id string) {
	for i, s := range p.Sandboxes {
		if s.ID == id {
			p.Sandboxes = append(p.Sandboxes[:i:i], p.Sandboxes[i+1:]...)
			return
		}
	}
}

// Clone copies the lists; the sandboxes and containers themselves are replaced,
// never changed, and so are shared.
func (p *Pod) Clone() *Pod {
	c := *p
	c.Sandboxes = append([]*Sandbox(nil), p.Sandboxes...)
	c.Containers = append([]*Container(nil), p.Containers...)
	return &c
}

func (p *Pod) sort() {
	sort.SliceStable(p.Sandboxes, func(i, j int) bool { return p.Sandboxes[i].CreatedAt.After(p.Sandboxes[j].CreatedAt) })
	sort.SliceStable(p.Containers, func(i, j int) bool { return p.Containers[i].CreatedAt.After(p.Containers[j].CreatedAt) })
}

// SandboxOf turns the runtime's answer into a Sandbox.
func SandboxOf(s *runtimeapi.PodSandboxStatus) *Sandbox {
	out := &Sandbox{
		ID:          s.GetId(),
		Attempt:     s.GetMetadata().GetAttempt(),
		Ready:       s.GetState() == runtimeapi.PodSandboxState_SANDBOX_READY,
		HostNetwork: s.GetLinux().GetNamespaces().GetOptions().GetNetwork() == runtimeapi.NamespaceMode_NODE,
		CreatedAt:   instant(s.GetCreatedAt()),
		Handler:     s.GetRuntimeHandler(),
	}
	if ip := s.GetNetwork().GetIp(); ip != "" {
		out.IPs = append(out.IPs, ip)
		for _, more := range s.GetNetwork().GetAdditionalIps() {
			out.IPs = append(out.IPs, more.GetIp())
		}
	}
	return out
}

var states = map[runtimeapi.ContainerState]State{
	runtimeapi.ContainerState_CONTAINER_CREATED: Created,
	runtimeapi.ContainerState_CONTAINER_RUNNING: Running,
	runtimeapi.ContainerState_CONTAINER_EXITED:  Exited,
	runtimeapi.ContainerState_CONTAINER_UNKNOWN: Unknown,
}

// ContainerOf turns the runtime's answer into a Container of the given sandbox.
func ContainerOf(s *runtimeapi.ContainerStatus, sandboxID string) *Container {
	annotations := s.GetAnnotations()
	// A container that someone else made has no count; it then is the first.
	restarts, _ := strconv.Atoi(annotations[AnnotationRestartCount])
	c := &Container{
		ID:           s.GetId(),
		Name:         s.GetLabels()[LabelContainerName],
		SandboxID:    sandboxID,
		State:        states[s.GetState()],
		RestartCount: restarts,
		CreatedAt:    instant(s.GetCreatedAt()),
		StartedAt:    instant(s.GetStartedAt()),
		FinishedAt:   instant(s.GetFinishedAt()),
		ExitCode:     s.GetExitCode(),
		Reason:       s.GetReason(),
		Message:      s.GetMessage(),
		Image:        s.GetImage().GetImage(),
		ImageRef:     s.GetImageRef(),
		ImageID:      s.GetImageId(),
		Hash:         annotations[AnnotationHash],
		LogPath:      s.GetLogPath(),
		Annotations:  annotations,
		Resources:    s.GetResources().GetLinux(),
		User:         s.GetUser().GetLinux(),
		StopSignal:   s.GetStopSignal(),
		Mounts:       s.GetMounts(),
	}
	if c.Name == "" {
		c.Name = s.GetMetadata().GetName()
	}
	if specified := s.GetImage().GetUserSpecifiedImage(); specified != "" {
		c.Image = specified
	}
	if path := annotations[AnnotationTerminationMessagePath]; path != "" {
		for _, m := range s.GetMounts() {
			if m.GetContainerPath() == path {
				c.TerminationFile = m.GetHostPath()
			}
		}
	}
	return c
}

// instant turns the CRI's nanoseconds into a time; 0 and below mean never.
func instant(nanoseconds int64) time.Time {
	if nanoseconds <= 0 {
		return time.Time{}
	}
	return time.Unix(0, nanoseconds)
}

// Package fake is a container runtime that runs nothing: a real gRPC server that
// speaks CRI v1 on a unix socket and keeps sandboxes, containers and images in
// memory. With it a kubelet runs without root, and thousands of nodes fit on one
// machine. What a "container" does is a Script.
package fake

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Script is what a container does once it is started.
type Script struct {
	// Exits says that it ends by itself, After a time, with Code.
	Exits bool
	After time.Duration
	Code  int32
	// Message, if any, is written as the termination message.
	Message string
	// StopDelay is how long it takes to stop when asked to.
	StopDelay time.Duration
	// CannotStart makes StartContainer fail.
	CannotStart string
}

// Config of a fake runtime. The zero value is usable.
type Config struct {
	// Script says what a container does; nil runs those with a command such as
	// "true", "false", "exit 3" or "sleep 2" as one expects, and all others for ever.
	Script func(*runtimeapi.ContainerConfig) Script
	// Exec answers commands; nil lets all succeed.
	Exec func(container *runtimeapi.ContainerConfig, command []string) (output string, code int32)
	// Pull says whether an image can be pulled; nil pulls all.
	Pull func(image string, auth *runtimeapi.AuthConfig) error
	// Missing makes images absent until they are pulled; otherwise all are present.
	Missing bool
	// Delay is how long the calls that make and start things take.
	Delay time.Duration
	// NoEvents answers GetContainerEvents with Unimplemented.
	NoEvents bool
}

// Server is a running fake runtime.
type Server struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	config Config
	server *grpc.Server
	// Endpoint is where it listens, for --container-runtime-endpoint.
	Endpoint string

	mu         sync.Mutex
	serial     int
	podCIDR    *net.IPNet
	addresses  int
	sandboxes  map[string]*sandbox
	containers map[string]*container
	images     map[string]*runtimeapi.Image
	listeners  map[chan *runtimeapi.ContainerEventResponse]bool
	// history are the last events: like containerd, a new listener gets them first.
	history []*runtimeapi.ContainerEventResponse
	// calls counts calls by method, for tests.
	calls map[string]int
}

type sandbox struct {
	status *runtimeapi.PodSandboxStatus
	config *runtimeapi.PodSandboxConfig
}

type container struct {
	status    *runtimeapi.ContainerStatus
	config    *runtimeapi.ContainerConfig
	sandboxID string
	script    Script
	stopped   chan struct{}
}

// Listen starts a fake runtime on a socket in dir, which must exist.
func Listen(dir string, config Config) (*Server, error) {
	path := filepath.Join(dir, "cri.sock")
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("fake runtime: %w", err)
	}
	s := &Server{
		config: config, Endpoint: "unix://" + path,
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{}, images: map[string]*runtimeapi.Image{},
		listeners: map[chan *runtimeapi.ContainerEventResponse]bool{}, calls: map[string]int{},
	}
	s.podCIDR = &net.IPNet{IP: net.IPv4(10, 88, 0, 0).To4(), Mask: net.CIDRMask(16, 32)}
	s.server = grpc.NewServer(grpc.UnaryInterceptor(s.count))
	runtimeapi.RegisterRuntimeServiceServer(s.server, s)
	runtimeapi.RegisterImageServiceServer(s.server, s)
	go func() { _ = s.server.Serve(listener) }() // ends with Close
	return s, nil
}

// Close ends the server; what it held is lost.
func (s *Server) Close() { s.server.Stop() }

// Calls returns how often a method ("RunPodSandbox") was called.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

func (s *Server) count(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	s.calls[filepath.Base(info.FullMethod)]++
	s.mu.Unlock()
	return handler(ctx, req)
}

// id returns a new id of the usual form. The lock is held.
func (s *Server) id(kind string) string {
	s.serial++
	return fmt.Sprintf("%s%063d", kind, s.serial)
}

// address returns the next address of the pod subnet. The lock is held.
func (s *Server) address() string {
	s.addresses++
	ip := append(net.IP(nil), s.podCIDR.IP...)
	ones, bits := s.podCIDR.Mask.Size()
	n := 1 + s.addresses%(1<<min(bits-ones, 16)-2)
	for i := len(ip) - 1; n > 0 && i >= 0; i-- {
		n += int(ip[i])
		ip[i] = byte(n)
		n >>= 8
	}
	return ip.String()
}

// emit tells all who listen of an event. The lock is held. A listener that does
// not keep up loses its stream, as it would with a real runtime.
func (s *Server) emit(id, sandboxID string, kind runtimeapi.ContainerEventType) {
	event := &runtimeapi.ContainerEventResponse{ContainerId: id, ContainerEventType: kind, CreatedAt: time.Now().UnixNano()}
	if sb := s.sandboxes[sandboxID]; sb != nil {
		event.PodSandboxStatus = sb.status
	}
	if s.history = append(s.history, event); len(s.history) > maxHistory {
		s.history = append([]*runtimeapi.ContainerEventResponse(nil), s.history[maxHistory/2:]...)
	}
	for listener := range s.listeners {
		select {
		case listener <- event:
		default:
			delete(s.listeners, listener)
			close(listener)
		}
	}
}

// maxHistory is how many events are kept for new listeners.
const maxHistory = 64

// GetContainerEvents implements the CRI.
func (s *Server) GetContainerEvents(_ *runtimeapi.GetEventsRequest, stream runtimeapi.RuntimeService_GetContainerEventsServer) error {
	if s.config.NoEvents {
		return status.Error(codes.Unimplemented, "no events")
	}
	events := make(chan *runtimeapi.ContainerEventResponse, 1024)
	s.mu.Lock()
	for _, e := range s.history {
		events <- e
	}
	s.listeners[events] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, events)
		s.mu.Unlock()
	}()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return status.Error(codes.ResourceExhausted, "too slow")
			}
			if err := stream.Send(e); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// Version implements the CRI.
func (s *Server) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "fake", RuntimeVersion: "v1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status implements the CRI.
func (s *Server) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	return &runtimeapi.StatusResponse{
		Status: &runtimeapi.RuntimeStatus{Conditions: []*runtimeapi.RuntimeCondition{
			{Type: runtimeapi.RuntimeReady, Status: true}, {Type: runtimeapi.NetworkReady, Status: true},
		}},
		RuntimeHandlers: []*runtimeapi.RuntimeHandler{{Features: &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true, UserNamespaces: true}}},
		Features:        &runtimeapi.RuntimeFeatures{SupplementalGroupsPolicy: true},
	}, nil
}

// RuntimeConfig implements the CRI.
func (s *Server) RuntimeConfig(context.Context, *runtimeapi.RuntimeConfigRequest) (*runtimeapi.RuntimeConfigResponse, error) {
	return &runtimeapi.RuntimeConfigResponse{Linux: &runtimeapi.LinuxRuntimeConfiguration{CgroupDriver: runtimeapi.CgroupDriver_CGROUPFS}}, nil
}

// UpdateRuntimeConfig implements the CRI.
func (s *Server) UpdateRuntimeConfig(_ context.Context, r *runtimeapi.UpdateRuntimeConfigRequest) (*runtimeapi.UpdateRuntimeConfigResponse, error) {
	_, subnet, err := net.ParseCIDR(r.GetRuntimeConfig().GetNetworkConfig().GetPodCidr())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.podCIDR = subnet
	return &runtimeapi.UpdateRuntimeConfigResponse{}, nil
}

// scriptOf is what a container does where no script says it.
func scriptOf(c *runtimeapi.ContainerConfig) Script {
	words := fields(append(append([]string(nil), c.GetCommand()...), c.GetArgs()...))
	for i, word := range words {
		switch word {
		case "true":
			return Script{Exits: true}
		case "false":
			return Script{Exits: true, Code: 1}
		case "exit", "sleep":
			n := 0
			if i+1 < len(words) {
				var err error
				if n, err = strconv.Atoi(words[i+1]); err != nil {
					return Script{}
				}
			}
			if word == "exit" {
				return Script{Exits: true, Code: int32(n)}
			}
			return Script{Exits: true, After: time.Duration(n) * time.Second}
		}
	}
	return Script{}
}

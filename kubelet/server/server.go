// Package server is the node agent's own port, 10250: what runs here, logs, exec, attach and port-forward into containers, statistics,
// metrics. Every request is authenticated and authorized (package auth).
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/kubelet/server/auth"
)

// Agent is what the server asks of the rest of the node agent.
type Agent interface {
	// Pods returns the Pods bound to this node, static ones included, with the status that the agent has for them.
	Pods() []*corev1.Pod
	// RunningPods returns what runs according to the container runtime, as Pods with names and images only.
	RunningPods(ctx context.Context) ([]*corev1.Pod, error)
	// Pod finds a Pod of this node; uid may be empty. A static Pod is found by its mirror's UID, too.
	Pod(namespace, name string, uid types.UID) (*corev1.Pod, bool)
	// ContainerID returns the ID of the running container of a Pod, without the runtime's scheme; an error says that there is none.
	ContainerID(ctx context.Context, pod *corev1.Pod, container string) (string, error)
	// SandboxID returns the ID of the Pod's running sandbox.
	SandboxID(ctx context.Context, pod *corev1.Pod) (string, error)
	// Log finds the log of a container, or of the one before it. The error is for people: "container "x" in pod "y" is waiting to start: …".
	Log(ctx context.Context, pod *corev1.Pod, container string, previous bool) (Log, error)
}

// Log is where a container writes.
type Log struct {
	Path string
	// Stopped is closed when the container has exited and will write no more; nil if that has happened.
	Stopped <-chan struct{}
}

// Streams is the part of a container runtime that gives out addresses to stream from and to.
type Streams interface {
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (*runtimeapi.ExecSyncResponse, error)
	Exec(ctx context.Context, request *runtimeapi.ExecRequest) (string, error)
	Attach(ctx context.Context, request *runtimeapi.AttachRequest) (string, error)
	PortForward(ctx context.Context, request *runtimeapi.PortForwardRequest) (string, error)
}

// Config is all that the server needs. Agent, Streams and Auth are required; what else is nil is not served.
type Config struct {
	Agent   Agent
	Streams Streams
	Auth    auth.Config
	// Certificate of the port, asked at each connection; unused by Handler.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// MinVersion and CipherSuites as in tls.Config; zero means TLS 1.2 and Go's own choice.
	MinVersion   uint16
	CipherSuites []uint16

	// Summary measures the node and its Pods; onlyCPUAndMemory leaves out what takes long.
	Summary func(ctx context.Context, onlyCPUAndMemory bool) (*statsapi.Summary, error)
	// Metrics are the agent's own, Probes the results of probes.
	Metrics, Probes prometheus.Gatherer
	// ConfigZ returns the KubeletConfiguration in use.
	ConfigZ func() any
	// Journal serves /debug/journal.
	Journal http.Handler
	// Health answers /healthz.
	Health http.Handler
	// LogDir is what /logs/ shows, /var/log upstream; empty: nothing.
	LogDir string
	// NoDebugging leaves out everything that runs commands or shows logs (--enable-debugging-handlers=false).
	NoDebugging bool
	// Profiling serves /debug/pprof.
	Profiling bool
}

// Server is the handlers of the port.
type Server struct {
	config Config
	guard  *auth.Guard
}

// New returns a server; it listens to nothing yet.
func New(config Config) *Server {
	return &Server{config: config, guard: auth.New(config.Auth)}
}

// Handler is everything, behind authentication and authorization.
func (s *Server) Handler() http.Handler { return s.guard.Wrap(s.routes()) }

// Serve answers HTTPS on listener until ctx ends.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	config := &tls.Config{
		GetCertificate: s.config.Certificate,
		MinVersion:     max(s.config.MinVersion, tls.VersionTLS12),
		CipherSuites:   s.config.CipherSuites,
		// Certificates are asked for, and judged by the guard: a bad one is one without credentials.
		ClientAuth: tls.RequestClientCert,
	}
	if s.config.Auth.ClientCAs != nil {
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.naming(config) }
	}
	return daemon.Serve(ctx, listener, config, s.Handler())
}

// naming returns the configuration with the names of the authorities that count now, so that clients know which certificate to show.
func (s *Server) naming(base *tls.Config) (*tls.Config, error) {
	var pool *x509.CertPool
	pool, err := s.config.Auth.ClientCAs()
	if err != nil {
		return nil, err
	}
	config := base.Clone()
	config.GetConfigForClient = nil
	config.ClientCAs = pool
	if len(config.NextProtos) == 0 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config, nil
}

// ReadOnly is what the port without authentication shows (--read-only-port).
func (s *Server) ReadOnly() http.Handler {
	mux := http.NewServeMux()
	s.observe(mux)
	return mux
}

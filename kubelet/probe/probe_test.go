package probe

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const enough = 10 * time.Second

func TestHTTPAttempts(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			if r.Header.Get("User-Agent") != UserAgent || r.Header.Get("X-Custom") != "yes" {
				w.WriteHeader(http.StatusTeapot)
			}
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/here":
			http.Redirect(w, r, "/bad", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://0.0.0.0/", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	c := &v1.Container{Ports: []v1.ContainerPort{{Name: "web", ContainerPort: int32(port)}}}
	for path, want := range map[string]struct {
		result Result
		output string
		warn   bool
	}{
		"/ok":   {Success, "", false},
		"/bad":  {Failure, "HTTP probe failed with statuscode: 500", false},
		"/here": {Failure, "HTTP probe failed with statuscode: 500", false},
		"/away": {Success, "Probe terminated redirects", true},
	} {
		action := &v1.HTTPGetAction{Path: path, Port: intstr.FromString("web"), HTTPHeaders: []v1.HTTPHeader{{Name: "X-Custom", Value: "yes"}}}
		result, output, warn, err := newHTTPProbe().do(context.Background(), action, c, "127.0.0.1", enough)
		if err != nil || result != want.result || !strings.HasPrefix(output, want.output) || warn != want.warn {
			t.Errorf("%s: %v %q %v %v", path, result, output, warn, err)
		}
	}
	if _, _, _, err := newHTTPProbe().do(context.Background(), &v1.HTTPGetAction{Port: intstr.FromString("none")}, c, "127.0.0.1", enough); err == nil {
		t.Error("a port without a number is no error")
	}
}

func TestTCPAttempts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	action := &v1.TCPSocketAction{Port: intstr.FromInt(port)}
	if result, output, err := tcp(context.Background(), action, &v1.Container{}, "127.0.0.1", enough); result != Success {
		t.Errorf("open: %v %q %v", result, output, err)
	}
	listener.Close()
	if result, output, _ := tcp(context.Background(), action, &v1.Container{}, "127.0.0.1", enough); result != Failure || !strings.Contains(output, "connection refused") {
		t.Errorf("closed: %v %q", result, output)
	}
}

// conformance: Pod liveness probe, using grpc call, success
func TestGRPCAttempts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, services := grpc.NewServer(), health.NewServer()
	services.SetServingStatus("sick", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(server, services)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	for service, want := range map[string]Result{"": Success, "sick": Failure, "unknown": Failure} {
		result, output, err := healthOf(port, service)
		if err != nil || result != want {
			t.Errorf("%q: %v %q %v", service, result, output, err)
		}
	}
}

func healthOf(port int32, service string) (Result, string, error) {
	return healthCheck(context.Background(), &v1.GRPCAction{Port: port, Service: ptr.To(service)}, "127.0.0.1", enough)
}

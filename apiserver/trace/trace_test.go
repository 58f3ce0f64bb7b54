package trace

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// listener is a real collector: it keeps the spans that it is sent.
type listener struct {
	collector.UnimplementedTraceServiceServer
	spans chan *otlp.Span
}

func (l *listener) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, of := range r.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			for _, span := range scope.Spans {
				l.spans <- span
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansComeToTheCollector(t *testing.T) {
	t.Parallel()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{spans: make(chan *otlp.Span, 10)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, l)
	go server.Serve(socket)
	t.Cleanup(server.Stop)
	file := filepath.Join(t.TempDir(), "tracing.yaml")
	text := fmt.Sprintf("apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nendpoint: %q\n", socket.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tracer, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ask := func(groups ...string) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/n/pods/p/log", nil)
		r.Header.Set("Traceparent", parent)
		_, end := tracer.Begin(r, &request.State{Info: request.Parse(r), ID: "id", User: resource.User{Groups: groups}, Received: time.Now()})
		end(http.StatusOK)
	}
	ask("system:masters")
	ask("dev") // who may not ask for a trace, and nothing else samples
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	close(l.spans)
	var all []*otlp.Span
	for span := range l.spans {
		all = append(all, span)
	}
	if len(all) != 1 || all[0].Name != "GET /api/v1/namespaces/{:namespace}/pods/{:name}/log" || fmt.Sprintf("%x", all[0].TraceId) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("got %v", all)
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
	for text, want := range map[string]string{
		"kind: X": "TracingConfiguration", head + "colour: red": "colour",
		head + "samplingRatePerMillion: 2000000": "one million", head + "endpoint: http://a": "host:port",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nsamplingRatePerMillion: 7"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = Parse(text) })
}

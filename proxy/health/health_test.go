package health

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func status(n *Node, path string) int {
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code
}

func TestNode(t *testing.T) {
	t.Parallel()
	var n Node
	if got := status(&n, "/healthz"); got != http.StatusServiceUnavailable {
		t.Errorf("before anything was programmed: %d", got)
	}
	n.Queued()
	n.Done()
	if got := status(&n, "/healthz"); got != http.StatusOK {
		t.Errorf("at rest: %d", got)
	}
	n.Queued()
	if got := status(&n, "/healthz"); got != http.StatusOK {
		t.Errorf("with a change not yet late: %d", got)
	}
	n.waiting = n.waiting.Add(-2 * patience)
	if got := status(&n, "/livez"); got != http.StatusServiceUnavailable {
		t.Errorf("with a change that is late: %d", got)
	}
	n.Done()
	n.Leaving(true)
	if health, live := status(&n, "/healthz"), status(&n, "/livez"); health != http.StatusServiceUnavailable || live != http.StatusOK {
		t.Errorf("on its way out: %d, %d", health, live)
	}
}

// A port that is taken is an error, and no half-open server.
func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	name := types.NamespacedName{Namespace: "ns", Name: "web"}
	s := Services{Node: &Node{}}
	defer s.Close()
	port := uint16(other.Addr().(*net.TCPAddr).Port)
	if err := s.Set(name, Local{Port: port, Endpoints: 1}); err == nil {
		t.Error("a taken port was opened")
	}
	if len(s.servers) != 0 {
		t.Errorf("%d servers", len(s.servers))
	}
	other.Close()
	if err := s.Set(name, Local{Port: port, Endpoints: 1}); err != nil {
		t.Error(err)
	}
	if err := s.Set(name, Local{}); err != nil || len(s.servers) != 0 {
		t.Errorf("%d servers, %v", len(s.servers), err)
	}
}

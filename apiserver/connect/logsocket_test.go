package connect

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A log comes as messages to whoever asks for a WebSocket, encoded as its protocol says, and ends with a close message.
// conformance: Pods, logs from websockets
func TestLogOverWebSocket(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sendMessages(w, r, io.NopCloser(strings.NewReader("container is alive\n")))
	}))
	defer server.Close()
	for protocol, want := range map[string]struct {
		text string
		kind int
	}{
		"":              {"container is alive\n", websocket.BinaryMessage},
		"binary.k8s.io": {"container is alive\n", websocket.BinaryMessage},
		base64Protocol:  {base64.StdEncoding.EncodeToString([]byte("container is alive\n")), websocket.TextMessage},
	} {
		dialer := websocket.Dialer{}
		if protocol != "" {
			dialer.Subprotocols = []string{protocol}
		}
		socket, _, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			t.Fatalf("protocol %q: %v", protocol, err)
		}
		defer socket.Close()
		if socket.Subprotocol() != protocol {
			t.Errorf("protocol %q: the server chose %q", protocol, socket.Subprotocol())
		}
		kind, text, err := socket.ReadMessage()
		if err != nil || kind != want.kind || string(text) != want.text {
			t.Errorf("protocol %q: message %d %q, %v; want %d %q", protocol, kind, text, err, want.kind, want.text)
		}
		if _, _, err := socket.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("protocol %q: the log ended with %v", protocol, err)
		}
	}
}

package bridge

import (
	"net/http"
	"net/url"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/klog/v2"
)

// upgrader accepts any origin: who calls has been authenticated by other means than cookies.
func upgrader(protocol string) *websocket.Upgrader {
	return &websocket.Upgrader{Subprotocols: []string{protocol}, CheckOrigin: func(*http.Request) bool { return true }}
}

// serveTunnel unwraps the SPDY connection that a client sends in the binary messages of a WebSocket (KEP-4006), and passes it on.
func serveTunnel(w http.ResponseWriter, r *http.Request, target *url.URL) {
	backend, err := dial(r.Context(), target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer backend.Close()
	sent := request(http.MethodPost, target, http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"portforward.k8s.io"},
	})
	if err := sent.Write(backend); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fromBackend, err := upgraded(backend, sent)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	socket, err := upgrader(tunnelProtocol).Upgrade(w, r, nil)
	if err != nil {
		klog.FromContext(r.Context()).V(2).Info("WebSocket could not be opened", "err", err)
		return // the upgrader has answered
	}
	client := portforward.NewTunnelingConnection("server", socket)
	join(r.Context(), client, client, backend, fromBackend)
}

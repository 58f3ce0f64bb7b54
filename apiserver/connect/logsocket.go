package connect

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"k8s.io/klog/v2"
)

// base64Protocol asks for text messages, for clients that cannot take binary ones.
const base64Protocol = "base64.binary.k8s.io"

// logUpgrader takes over the connections of clients that read a log as messages, as upstream's wsstream readers do: binary
// ones unless asked otherwise. The server authenticates every request, so origins do not matter.
var logUpgrader = websocket.Upgrader{
	CheckOrigin:  func(*http.Request) bool { return true },
	Subprotocols: []string{"binary.k8s.io", base64Protocol},
}

// sendMessages sends each piece as a message as soon as it is read, and closes the connection in good order.
func sendMessages(w http.ResponseWriter, r *http.Request, from io.ReadCloser) {
	socket, err := logUpgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer socket.Close()
	stop := context.AfterFunc(r.Context(), func() { from.Close() })
	defer stop()
	go func() { // notices that the client goes away; ends when the connection is closed
		for {
			if _, _, err := socket.NextReader(); err != nil {
				from.Close()
				return
			}
		}
	}()
	if err := copyMessages(socket, from); err != nil {
		klog.FromContext(r.Context()).V(4).Info("The log ended early", "err", err)
		return
	}
	over := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := socket.WriteControl(websocket.CloseMessage, over, time.Now().Add(time.Second)); err != nil {
		klog.FromContext(r.Context()).V(4).Info("The client left before the log's end", "err", err)
	}
}

func copyMessages(to *websocket.Conn, from io.Reader) error {
	kind, encode := websocket.BinaryMessage, func(b []byte) []byte { return b }
	if to.Subprotocol() == base64Protocol {
		kind, encode = websocket.TextMessage, func(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if err := to.WriteMessage(kind, encode(buffer[:n])); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/gorilla/websocket"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
)

// Channels of the protocol: the first byte of every message. A close message's second byte is the channel to close.
const (
	stdinChannel = iota
	stdoutChannel
	stderrChannel
	errorChannel
	resizeChannel
	closeChannel = 255
)

// serveV5 speaks v5 of the remote command protocol with the client and SPDY with the runtime.
func serveV5(w http.ResponseWriter, r *http.Request, target *url.URL, streams Streams) {
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, http.MethodPost, target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	socket, err := upgrader(v5Protocol).Upgrade(w, r, nil)
	if err != nil {
		klog.FromContext(r.Context()).V(2).Info("WebSocket could not be opened", "err", err)
		return // the upgrader has answered
	}
	defer socket.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	c := &channels{socket: socket, sizes: make(chan remotecommand.TerminalSize, 1)}
	options := remotecommand.StreamOptions{Tty: streams.TTY}
	stdin, toStdin := io.Pipe()
	if streams.Stdin {
		options.Stdin = stdin
	}
	if streams.Stdout {
		options.Stdout = c.output(stdoutChannel)
	}
	if streams.Stderr {
		options.Stderr = c.output(stderrChannel)
	}
	if streams.TTY {
		options.TerminalSizeQueue = c
	}
	go func() {
		defer cancel() // the client has gone: end the command
		c.read(toStdin, streams.Stdin)
	}()
	err = executor.StreamWithContext(ctx, options)
	stdin.Close()
	c.finish(err)
}

// channels is the client's side of a session.
type channels struct {
	socket *websocket.Conn
	sizes  chan remotecommand.TerminalSize
	mu     sync.Mutex // held while a message is written
}

// read takes the client's messages until it ends.
func (c *channels) read(stdin *io.PipeWriter, wantsStdin bool) {
	defer close(c.sizes)
	defer stdin.Close()
	for {
		kind, data, err := c.socket.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.BinaryMessage || len(data) == 0 {
			continue
		}
		switch channel, body := data[0], data[1:]; {
		case channel == stdinChannel && wantsStdin:
			if _, err := stdin.Write(body); err != nil {
				wantsStdin = false // the command no longer reads; the client may still resize or leave
			}
		case channel == resizeChannel:
			c.resize(body)
		case channel == closeChannel && len(body) > 0 && body[0] == stdinChannel:
			stdin.Close()
			wantsStdin = false
		}
	}
}

// resize keeps the newest size for Next.
func (c *channels) resize(body []byte) {
	var size remotecommand.TerminalSize
	if json.Unmarshal(body, &size) != nil {
		return
	}
	select {
	case <-c.sizes:
	default:
	}
	c.sizes <- size
}

// Next is the executor's source of terminal sizes; nil ends it.
func (c *channels) Next() *remotecommand.TerminalSize {
	size, ok := <-c.sizes
	if !ok {
		return nil
	}
	return &size
}

// output is a stream to the client.
type output struct {
	to      *channels
	channel byte
}

func (c *channels) output(channel byte) io.Writer { return output{c, channel} }

// Write sends one message.
func (o output) Write(data []byte) (int, error) {
	if err := o.to.send(o.channel, data); err != nil {
		return 0, err
	}
	return len(data), nil
}

func (c *channels) send(channel byte, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, err := c.socket.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte{channel}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Close()
}

// finish tells the client how the command ended, in the error channel, and closes.
func (c *channels) finish(err error) {
	data, encodeErr := json.Marshal(statusOf(err))
	if encodeErr != nil {
		return
	}
	if c.send(errorChannel, data) != nil {
		return // the client has gone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := c.socket.WriteMessage(websocket.CloseMessage, message); err != nil {
		klog.V(4).InfoS("Client went away before the end", "err", err)
	}
}

// statusOf puts the end of a command in the form that clients parse: the exit code is a cause.
func statusOf(err error) *metav1.Status {
	if err == nil {
		return &metav1.Status{Status: metav1.StatusSuccess}
	}
	var exit exec.CodeExitError
	if errors.As(err, &exit) && exit.Code != 0 {
		return exitStatus(exit)
	}
	return &metav1.Status{
		Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Code: http.StatusInternalServerError,
		Message: "Internal error occurred: " + err.Error(),
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: err.Error()}}},
	}
}

// Package bridge joins a client's exec, attach or port-forward connection with the container runtime's streaming server. Where both speak the same
// protocol, bytes are passed on as they are. Two protocols of clients the runtime does not know: v5 of the channels over a WebSocket, which
// can close stdin (v5.go), and port-forwarding in SPDY that is itself tunnelled through a WebSocket (tunnel.go).
package bridge

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// Streams are the streams of a container that the client asked for; unused for port-forwarding.
type Streams struct{ Stdin, Stdout, Stderr, TTY bool }

const (
	v5Protocol     = "v5.channel.k8s.io"
	tunnelProtocol = "SPDY/3.1+portforward.k8s.io"
	protocolHeader = "Sec-Websocket-Protocol"
	dialTimeout    = 10 * time.Second
)

// Connect takes the client's request over to target, and returns when either side has ended.
func Connect(w http.ResponseWriter, r *http.Request, target *url.URL, streams Streams) {
	switch {
	case !httpstream.IsUpgradeRequest(r):
		http.Error(w, "Upgrade request required", http.StatusBadRequest)
	case offers(r, v5Protocol):
		serveV5(w, r, target, streams)
	case offers(r, tunnelProtocol):
		serveTunnel(w, r, target)
	default:
		pass(w, r, target)
	}
}

// offers says whether the client's WebSocket speaks a protocol.
func offers(r *http.Request, protocol string) bool {
	for _, list := range r.Header.Values(protocolHeader) {
		for _, name := range strings.Split(list, ",") {
			if strings.TrimSpace(name) == protocol {
				return true
			}
		}
	}
	return false
}

// pass sends the request as it is to the runtime and everything that follows both ways.
func pass(w http.ResponseWriter, r *http.Request, target *url.URL) {
	backend, err := dial(r.Context(), target)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer backend.Close()
	if err := request(r.Method, target, r.Header).Write(backend); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	client, buffered, err := hijack(w)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	join(r.Context(), client, buffered, backend, backend)
}

// request is the client's, with the runtime's address and without what is only for this agent to know.
func request(method string, target *url.URL, from http.Header) *http.Request {
	header := from.Clone()
	header.Del("Authorization")
	header.Del("Cookie")
	return &http.Request{Method: method, URL: target, Host: target.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// dial connects to the streaming server, which is on this machine and, where it uses TLS, has a certificate that nobody signed.
func dial(ctx context.Context, target *url.URL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host := target.Host
	if target.Port() == "" {
		host = net.JoinHostPort(target.Hostname(), map[string]string{"http": "80", "https": "443"}[target.Scheme])
	}
	var dialer interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = &net.Dialer{}
	if target.Scheme == "https" {
		dialer = &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // see above
	}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("streaming server of the container runtime: %w", err)
	}
	return conn, nil
}

// hijack takes the connection from the HTTP server, with what it has already read from it.
func hijack(w http.ResponseWriter) (net.Conn, io.Reader, error) {
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("connection cannot be upgraded: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, nil, err
	}
	if n := buffer.Reader.Buffered(); n > 0 {
		early, err := buffer.Reader.Peek(n)
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		return conn, io.MultiReader(strings.NewReader(string(early)), conn), nil
	}
	return conn, conn, nil
}

// join copies both ways until either side ends; both are closed then.
func join(ctx context.Context, client net.Conn, fromClient io.Reader, backend net.Conn, fromBackend io.Reader) {
	done := make(chan error, 2)
	go func() { _, err := io.Copy(backend, fromClient); done <- err }()
	go func() { _, err := io.Copy(client, fromBackend); done <- err }()
	err := <-done
	client.Close()
	backend.Close()
	if second := <-done; err == nil {
		err = second
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		klog.FromContext(ctx).V(4).Info("Stream ended", "err", err)
	}
}

// upgraded reads the runtime's answer to an upgrade; what comes after it is in the reader.
func upgraded(backend net.Conn, sent *http.Request) (*bufio.Reader, error) {
	reader := bufio.NewReader(backend)
	response, err := http.ReadResponse(reader, sent)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		defer response.Body.Close()
		text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		return nil, errors.Join(fmt.Errorf("container runtime refused the stream: %s: %s", response.Status, text), err)
	}
	return reader, nil
}

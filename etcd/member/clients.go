package member

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/soheilhy/cmux"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	limits "go.etcd.io/etcd/pkg/v3/runtime"
	"google.golang.org/grpc"
)

// clientDoor is a listener for clients. One port may take HTTP and gRPC, with and without TLS.
type clientDoor struct {
	url      url.URL // the first that led here
	listener net.Listener
	// plain and secure say whether URLs without and with TLS led here.
	plain, secure bool
	httpOnly      bool

	mu      sync.Mutex
	servers []*servers
	closed  bool
}

// servers are those behind a door, of one way to connect.
type servers struct {
	grpc *grpc.Server
	http *http.Server
	// passed: the HTTP server has the connections and passes gRPC on.
	passed bool
}

// reservedFiles are descriptors that clients cannot have: for the log, the database, and up to nine members.
const reservedFiles = 150

func secure(u url.URL) bool { return u.Scheme == "https" || u.Scheme == "unixs" }

// addressOf is what a URL listens on: a host and port, or a path.
func addressOf(u url.URL) string {
	if u.Scheme == "unix" || u.Scheme == "unixs" {
		return u.Host + u.Path
	}
	return u.Host
}

func (m *Member) listenForClients() error {
	s := m.settings
	for _, u := range s.ListenClient {
		if err := m.addDoor(u, false); err != nil {
			return err
		}
	}
	for _, u := range s.ListenHTTP {
		if err := m.addDoor(u, true); err != nil {
			return err
		}
	}
	return nil
}

func (m *Member) addDoor(u url.URL, httpOnly bool) error {
	var door *clientDoor
	for _, other := range m.clients {
		if addressOf(other.url) == addressOf(u) && u.Port() != "0" {
			door = other
		}
	}
	if door != nil && door.httpOnly != httpOnly {
		return fmt.Errorf("%s cannot be both in --listen-client-urls and in --listen-client-http-urls", u.String())
	}
	if door == nil {
		listener, err := transport.NewListenerWithOpts(addressOf(u), u.Scheme, transport.WithSocketOpts(&m.settings.SocketOpts), transport.WithSkipTLSInfoCheck(true))
		if err != nil {
			return fmt.Errorf("listening for clients on %s: %w", u.String(), err)
		}
		door = &clientDoor{url: u, listener: listener, httpOnly: httpOnly}
		m.clients = append(m.clients, door)
		if files, err := limits.FDLimit(); err == nil {
			if files <= reservedFiles {
				return fmt.Errorf("the limit of open files, %d, is too low; a member needs more than %d", files, reservedFiles)
			}
			door.listener = transport.LimitListener(listener, int(files-reservedFiles))
		}
	}
	door.plain, door.secure = door.plain || !secure(u), door.secure || secure(u)
	return nil
}

// serveClients begins as soon as there is a leader; connections wait in the listeners until then.
func (m *Member) serveClients() error {
	gateway, err := m.newGateway()
	if err != nil {
		return err
	}
	api := m.newAPI(gateway)
	for _, door := range m.clients {
		m.serve(func() error {
			select {
			case <-m.Server.StoppingNotify():
				return errors.New("the member has stopped")
			case <-m.stopping:
				return nil
			case <-m.Server.ReadyNotify():
			}
			return door.serve(api)
		})
	}
	return nil
}

// serve tells connections apart by their first bytes, where there are several kinds.
func (d *clientDoor) serve(api *api) error {
	if !d.httpOnly && api.split {
		return d.serveGRPC(api)
	}
	mux := cmux.New(d.listener)
	loops := make(chan error, 4)
	run := func(loop func() error) { go func() { loops <- loop() }() }
	if d.plain {
		server, err := api.httpServer(nil, nil)
		if err != nil {
			return err
		}
		both := &servers{http: server}
		first := mux.Match(cmux.HTTP1())
		if !d.httpOnly {
			both.grpc = api.grpcServer(nil)
			second := mux.Match(cmux.HTTP2())
			run(func() error { return both.grpc.Serve(second) })
		}
		run(func() error { return both.http.Serve(first) })
		if !d.add(both) {
			return nil
		}
	}
	if d.secure {
		config, err := api.tls.ServerConfig()
		if err != nil {
			return err
		}
		both := &servers{passed: true}
		if !d.httpOnly {
			both.grpc = api.grpcServer(config)
		}
		if both.http, err = api.httpServer(config, both.grpc); err != nil {
			return err
		}
		listener, err := transport.NewTLSListener(mux.Match(cmux.Any()), api.tls)
		if err != nil {
			return err
		}
		run(func() error { return both.http.Serve(listener) })
		if !d.add(both) {
			return nil
		}
	}
	run(mux.Serve)
	return <-loops
}

// serveGRPC lets the gRPC server have the connections itself, which is faster than by way of an HTTP server.
func (d *clientDoor) serveGRPC(api *api) error {
	var config *tls.Config
	if d.secure {
		var err error
		if config, err = api.tls.ServerConfig(); err != nil {
			return err
		}
		api.tls.ConfigureCRLVerification(config)
	}
	only := &servers{grpc: api.grpcServer(config)}
	if !d.add(only) {
		return nil
	}
	return only.grpc.Serve(d.listener)
}

// add notes servers that close has to end; false if it has already been.
func (d *clientDoor) add(s *servers) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.servers = append(d.servers, s)
	}
	return !d.closed
}

// close lets requests end within a time each, then ends them, and closes the listener.
func (d *clientDoor) close(patience time.Duration) {
	d.mu.Lock()
	d.closed = true
	running := d.servers
	d.mu.Unlock()
	for _, s := range running {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s.close(ctx)
		cancel()
	}
	d.listener.Close()
}

func (s *servers) close(ctx context.Context) {
	if s.http != nil && s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	if s.grpc == nil {
		return
	}
	if s.passed {
		s.grpc.Stop() // its connections are the HTTP server's; a graceful stop would wait for ever
		return
	}
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop() // watches have no end of their own
		<-done
	}
}

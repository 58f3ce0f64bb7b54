package member

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
)

// silent is for what clients do wrong: nobody's log needs it.
var silent = log.New(io.Discard, "", 0)

// peerDoor is a listener for other members.
type peerDoor struct {
	listener net.Listener
	server   *http.Server
}

// listen opens every listener, so that an address that cannot be had is known before the data is touched.
func (m *Member) listen() error {
	s := m.settings
	for _, u := range s.ListenPeer {
		listener, err := transport.NewListenerWithOpts(u.Host, u.Scheme, transport.WithTLSInfo(&s.PeerTLSInfo),
			transport.WithSocketOpts(&s.SocketOpts), transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
		if err != nil {
			return fmt.Errorf("listening for peers on %s: %w", u.String(), err)
		}
		m.peers = append(m.peers, &peerDoor{listener: listener})
	}
	if err := m.listenForClients(); err != nil {
		return err
	}
	for _, u := range s.ListenMetrics {
		info := &s.ClientTLS
		if !secure(u) {
			info = nil
		}
		listener, err := transport.NewListenerWithOpts(u.Host, u.Scheme, transport.WithTLSInfo(info), transport.WithSocketOpts(&s.SocketOpts))
		if err != nil {
			return fmt.Errorf("listening for metrics on %s: %w", u.String(), err)
		}
		m.metrics = append(m.metrics, listener)
	}
	return nil
}

func (m *Member) servePeers() {
	handler := etcdhttp.NewPeerHandler(m.settings.Logger, m.Server)
	for _, door := range m.peers {
		door.server = &http.Server{Handler: handler, ReadTimeout: 5 * time.Minute, ErrorLog: silent}
		m.serve(func() error { return door.server.Serve(door.listener) })
	}
}

func (m *Member) serveMetrics() {
	mux := http.NewServeMux()
	etcdhttp.HandleMetrics(mux)
	etcdhttp.HandleHealth(m.settings.Logger, mux, m.Server)
	for _, listener := range m.metrics {
		m.serve(func() error { return http.Serve(listener, mux) })
	}
}

// close gives requests of peers a second: streams between members have no end of their own.
func (d *peerDoor) close() {
	if d.server == nil {
		d.listener.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := d.server.Shutdown(ctx); err != nil {
		d.server.Close()
	}
}

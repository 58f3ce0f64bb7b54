package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/raft/v3/raftpb"
)

// Member is an etcd server with its listeners.
type Member struct {
	Server *etcdserver.EtcdServer

	settings *Settings
	peers    []*peerDoor
	clients  []*clientDoor
	metrics  []net.Listener
	// untrace ends tracing, if there is any.
	untrace func(context.Context) error

	failed   chan error
	stopping chan struct{}
	stopOnce sync.Once
	serving  sync.WaitGroup
}

// Open starts a member, and returns when it has begun to look for its leader: Server.ReadyNotify says when it serves. The settings
// are the Member's from then on. On error nothing is left open.
func Open(s *Settings) (m *Member, err error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if s.Logger == nil {
		if s.Logger, err = s.Log.open(); err != nil {
			return nil, err
		}
	}
	m = &Member{settings: s, failed: make(chan error, 1), stopping: make(chan struct{})}
	defer func() {
		if err != nil {
			m.Close()
			m = nil
		}
	}()
	ran := s.initialized()
	if err := m.prepare(ran); err != nil {
		return nil, err
	}
	if m.Server, err = etcdserver.NewServer(s.ServerConfig); err != nil {
		return nil, err
	}
	if ran && s.ServerFeatureGate.Enabled(features.InitialCorruptCheck) {
		if err := m.Server.CorruptionChecker().InitialCheck(); err != nil {
			// A server that was not started cannot be stopped.
			m.Server.Cleanup()
			m.Server = nil
			return nil, fmt.Errorf("the data is corrupt: %w", err)
		}
	}
	m.Server.Start()
	if s.Alone && !ran {
		m.serving.Go(m.stand)
	}
	m.servePeers()
	m.serveMetrics()
	return m, m.serveClients()
}

// prepare does all that can fail before there is a server.
func (m *Member) prepare(ran bool) (err error) {
	s := m.settings
	if err := s.prepareTLS(); err != nil {
		return err
	}
	if err := s.derive(); err != nil {
		return err
	}
	if err := m.listen(); err != nil {
		return err
	}
	if !ran {
		if err := s.found(); err != nil {
			return err
		}
	}
	if s.EnableDistributedTracing {
		if s.TracerOptions, m.untrace, err = s.Tracing.open(); err != nil {
			return err
		}
	}
	return nil
}

// stand makes a new member that is alone its leader as soon as it can be: it tells the member, in the words of a leader that hands over,
// to stand for election now, until it has been elected. It is refused while the log's one entry, about the member itself, has not been
// applied. A member that has run before waits for its election: raft cannot stand while it reads a long log again.
func (m *Member) stand() {
	self := uint64(m.Server.MemberID())
	for m.Server.Leader() == 0 && len(m.Server.Cluster().Members()) <= 1 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := m.Server.Process(ctx, raftpb.Message{Type: raftpb.MsgTimeoutNow, To: self, From: self})
		cancel()
		if err != nil {
			return // it is being stopped; otherwise the election timeout does the same, later
		}
		select {
		case <-m.stopping:
			return
		case <-m.Server.StoppingNotify():
			return
		case <-time.After(standAgain):
		}
	}
}

const standAgain = 2 * time.Millisecond

// Failed delivers the first error of a listener.
func (m *Member) Failed() <-chan error { return m.failed }

// serve runs one loop of the member and notes its end as a failure, unless the member is being closed.
func (m *Member) serve(loop func() error) {
	m.serving.Go(func() {
		err := loop()
		select {
		case <-m.stopping:
			return
		default:
		}
		if err == nil {
			err = errors.New("a listener has ended")
		}
		select {
		case m.failed <- err:
		default:
		}
	})
}

// Close ends the member in order: clients' requests are answered within the server's request timeout, then no more are taken, the
// server hands its leadership over and syncs, and peers are left last. It can be called again.
func (m *Member) Close() {
	m.stopOnce.Do(func() {
		close(m.stopping)
		m.close()
	})
}

func (m *Member) close() {
	patience := 2 * time.Second
	if m.Server != nil {
		patience = m.Server.Cfg.ReqTimeout()
	}
	for _, door := range m.clients {
		door.close(patience)
	}
	for _, listener := range m.metrics {
		listener.Close()
	}
	if m.untrace != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		m.untrace(ctx)
		cancel()
	}
	if m.Server != nil {
		m.Server.Stop()
	}
	for _, door := range m.peers {
		door.close()
	}
	m.serving.Wait()
}

// ClientURLs are where clients are listened for, with the ports that the system chose for those asked as 0.
func (m *Member) ClientURLs() (all []url.URL) {
	for _, door := range m.clients {
		if !door.httpOnly {
			all = append(all, at(door.url, door.listener))
		}
	}
	return all
}

// PeerURLs are the same for other members.
func (m *Member) PeerURLs() (all []url.URL) {
	for i, door := range m.peers {
		all = append(all, at(m.settings.ListenPeer[i], door.listener))
	}
	return all
}

func at(u url.URL, listener net.Listener) url.URL {
	return url.URL{Scheme: u.Scheme, Host: listener.Addr().String()}
}

package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"

	"github.com/septet-io/septet/etcd/member"
)

// Server is a running member.
type Server struct {
	member *member.Member
	log    *logBridge

	clientOnce sync.Once
	client     *clientv3.Client
	stopOnce   sync.Once
	stopped    chan struct{}
}

// segmentBytes is the size of a write-ahead log file, allocated ahead: etcd's 64 MB twice would be the larger part of a small cluster's disk.
const segmentBytes = 16 << 20

var segmentOnce sync.Once

// Start runs a member and returns when it serves: with a leader, for a member that is alone.
// ctx bounds the start only. Errors are one clear line: the directory is in use, cannot be written, the disk is full.
func Start(ctx context.Context, config Config) (*Server, error) {
	log := newLogBridge()
	return start(ctx, config.settings(log), log)
}

func start(ctx context.Context, settings *member.Settings, log *logBridge) (*Server, error) {
	if err := prepareDir(settings.DataDir); err != nil {
		return nil, err
	}
	segmentOnce.Do(func() { wal.SegmentSizeBytes = segmentBytes })
	s := &Server{log: log, stopped: make(chan struct{})}
	type result struct {
		member *member.Member
		err    error
	}
	started := make(chan result, 1)
	go func() {
		m, err := member.Open(settings)
		started <- result{m, err}
	}()
	select {
	case r := <-started:
		if r.err != nil {
			return nil, fmt.Errorf("etcd: %w", r.err)
		}
		s.member = r.member
	case err := <-s.log.failed:
		return nil, err
	}
	select {
	case <-s.member.Server.ReadyNotify():
		return s, nil
	case err := <-s.log.failed:
		return nil, err
	case err := <-s.member.Failed():
		s.Stop()
		return nil, fmt.Errorf("etcd: %w", err)
	case <-s.member.Server.StopNotify():
		s.Stop()
		return nil, errors.New("etcd: the member stopped while it started; it may have been removed from its cluster")
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("etcd: no leader in time: %w", context.Cause(ctx))
	}
}

// prepareDir makes the data directory and refuses one that another process uses: etcd itself would wait for ever.
func prepareDir(dir string) error {
	if dir == "" {
		return errors.New("etcd: no data directory given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("etcd: data directory: %w", err)
	}
	db, err := os.OpenFile(databasePath(dir), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("etcd: data directory: %w", err)
	}
	defer db.Close()
	err = unix.Flock(int(db.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("etcd: data directory %s is in use by another process", dir)
	}
	return err
}

func databasePath(dir string) string { return filepath.Join(dir, "member", "snap", "db") }

// Client reaches the member by function calls, without a socket. Stop closes it.
func (s *Server) Client() *clientv3.Client {
	s.clientOnce.Do(func() {
		s.client = v3client.New(s.member.Server)
		s.client.Watcher = &watcher{s.client.Watcher, s}
		s.client.KV = &kv{s.client.KV, v3rpc.NewQuotaKVServer(s.member.Server)}
	})
	return s.client
}

// Member is the running server itself, for callers in the same process that need no client between.
func (s *Server) Member() *etcdserver.EtcdServer { return s.member.Server }

// Revision returns the cluster's current revision, linearizable. A member that is alone knows it, since a write is
// answered only after it has been applied; otherwise the leader is asked.
func (s *Server) Revision(ctx context.Context) (int64, error) {
	if members, ok := s.member.Server.Cluster().(interface{ MemberIDs() []types.ID }); ok && len(members.MemberIDs()) == 1 {
		return s.member.Server.KV().Rev(), nil
	}
	response, err := s.Client().Get(ctx, "\x00", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return response.Header.Revision, nil
}

// Failed delivers an error if the member cannot go on: a full disk, a listener that broke, removal from the cluster.
// The caller ends the process or stops and restarts the member.
func (s *Server) Failed() <-chan error {
	failed := make(chan error, 1)
	go func() {
		select {
		case err := <-s.log.failed:
			failed <- err
		case err := <-s.member.Failed():
			failed <- fmt.Errorf("etcd: %w", err)
		case <-s.member.Server.StopNotify():
			select {
			case <-s.stopped:
			default:
				failed <- errors.New("etcd: the member was removed from its cluster")
			}
		case <-s.stopped:
		}
	}()
	return failed
}

// Stop ends the member: a leader hands over first, then everything is synced and closed.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		close(s.stopped)
		s.log.ending.Store(true)
		s.close()
		if s.client != nil {
			// The context of an in-process client is all that there is to close.
			_ = s.client.Close()
		}
	})
}

// close waits for everything to be written; but a member that failed has a goroutine that stays where it is for good, so for
// that only a moment.
func (s *Server) close() {
	closed := make(chan struct{})
	go func() {
		s.member.Close()
		close(closed)
	}()
	if !s.log.broken.Load() {
		<-closed
		return
	}
	select {
	case <-closed:
	case <-time.After(brokenPatience):
	}
}

const brokenPatience = time.Second

// Endpoints are the URLs that clients can reach the member at, with the ports that the system chose for those asked as 0.
func (s *Server) Endpoints() []string { return texts(s.member.ClientURLs()) }

// PeerEndpoints are the URLs that other members can reach the member at.
func (s *Server) PeerEndpoints() []string { return texts(s.member.PeerURLs()) }

func texts(urls []url.URL) (all []string) {
	for _, u := range urls {
		all = append(all, u.String())
	}
	return all
}

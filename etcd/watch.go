package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watcher is the Watcher of an in-process client: etcd's own, and a shortcut past the stream and the goroutines that
// it needs to look like a connection.
type watcher struct {
	clientv3.Watcher
	server *Server
}

// Revision is Server.Revision, for those who have only the client.
func (w *watcher) Revision(ctx context.Context) (int64, error) { return w.server.Revision(ctx) }

// everything is the range of all keys.
var everything = struct{ key, end []byte }{[]byte{0}, []byte{}}

// WatchAll calls receive with every change of any key from a revision on, whole revisions in order, until ctx ends or
// the member stops. receive must return at once: while it does not, etcd writes wait or the watch falls back to reading the database.
// rpctypes.ErrCompacted says that the revision is too old.
func (w *watcher) WatchAll(ctx context.Context, from int64, receive func([]mvccpb.Event)) error {
	stream := w.server.member.Server.Watchable().NewWatchStream()
	defer stream.Close()
	if _, err := stream.Watch(0, everything.key, everything.end, from); err != nil {
		return err
	}
	for {
		select {
		case response, ok := <-stream.Chan():
			if !ok {
				return errStopped
			}
			if response.CompactRevision != 0 {
				return rpctypes.ErrCompacted
			}
			if len(response.Events) > 0 {
				receive(response.Events)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-w.server.member.Server.StoppingNotify():
			return errStopped
		}
	}
}

var errStopped = errors.New("etcd: the member has stopped")

package rest

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// watch serves a stream of changes. One goroutine, the request's own, carries a watcher; while it is idle it holds no buffers. Over
// HTTP/2 it sleeps even while there are events, as long as the client keeps up: see direction.
func (r *Resource) watch(w http.ResponseWriter, req *http.Request, s *request.State) error {
	options, query, err := r.listOptions(req, s)
	if err != nil {
		return err
	}
	accept, err := request.Negotiate(req, r.offer())
	if err != nil {
		return err
	}
	frames, err := r.newFramer(req, accept)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(req.Context(), r.watchTime(options))
	defer cancel()
	query.Limit, query.Continue = 0, ""
	watcher, err := r.Open().Watch(ctx, store.WatchQuery{
		Query: query, SendInitialEvents: options.SendInitialEvents, Bookmarks: options.AllowWatchBookmarks,
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	frames.initial = options.SendInitialEvents != nil && *options.SendInitialEvents
	if websocket.IsWebSocketUpgrade(req) {
		s.Begun()
		return r.watchSocket(ctx, w, req, watcher, frames)
	}
	return r.watchStream(ctx, w, watcher, frames)
}

// watchTime is how long a watch may last: what the client wishes, else somewhere between MinWatch and twice that, so that
// the watches that began together do not end together.
func (r *Resource) watchTime(options *metav1.ListOptions) time.Duration {
	if wish := timeout(options); wish > 0 {
		return wish
	}
	least := r.Env.MinWatch
	if least <= 0 {
		least = 30 * time.Minute
	}
	return least + rand.N(least)
}

// watchStream writes frames as one chunked body.
func (r *Resource) watchStream(ctx context.Context, w http.ResponseWriter, watcher store.Watcher, frames *framer) error {
	flush := http.NewResponseController(w)
	w.Header().Set("Content-Type", frames.contentType())
	w.Header().Set("Cache-Control", "no-cache, private")
	request.From(ctx).WriteWarnings(w.Header())
	w.WriteHeader(http.StatusOK)
	if err := flush.Flush(); err != nil {
		return wentAway(err)
	}
	if direct, ok := watcher.(store.Directed); ok {
		if offerer := request.OffererOf(w); offerer != nil && frames.ready() {
			if deadline, ok := ctx.Deadline(); ok {
				if err := flush.SetWriteDeadline(deadline); err != nil {
					return err
				}
			}
			direct.Direct(&direction{frames, offerer})
		}
	}
	return r.pump(ctx, watcher, frames, w, flush.Flush)
}

// direction sends the events of a live watch from where they come: a watch that keeps up runs no goroutine for an event, and what all
// watches of a connection get of a change goes out together.
type direction struct {
	frames *framer
	to     request.Offerer
}

// Offer is store.Direct.
func (d *direction) Offer(events []store.Event, dear bool) (taken int, later interface{ Flush() }) {
	scratch := getBuffer()
	defer putBuffer(scratch)
	defer func() {
		if cause := recover(); cause != nil { // it is the request's: its handler comes upon the same event
			klog.ErrorS(nil, "An event could not be offered", "resource", d.frames.r.Kind.Resource, "cause", cause)
		}
	}()
	for ; taken < len(events); taken++ {
		event := &events[taken]
		if !dear && !d.frames.isEncoded(event) {
			break
		}
		frame, err := d.frames.frame(event, scratch)
		if err != nil {
			break // the handler will see it, too
		}
		ok, flusher := d.to.Offer(frame.head, frame.object, frame.tail)
		if flusher != nil {
			later = flusher
		}
		if !ok {
			break
		}
	}
	return taken, later
}

// pump writes frames of all events until the watch ends, and flushes when it has written all that is at hand.
func (r *Resource) pump(ctx context.Context, watcher store.Watcher, frames *framer, w http.ResponseWriter, flush func() error) error {
	if !frames.initial {
		request.From(ctx).Begun()
	}
	for {
		select {
		case batch, open := <-watcher.Events():
			if !open {
				return nil
			}
			if err := r.sendBatches(batch, watcher, frames, w); err != nil {
				return wentAway(err)
			}
			if err := flush(); err != nil {
				return wentAway(err)
			}
			if frames.initial { // what there was at the beginning ends with a bookmark, so something comes
				frames.initial = false
				request.From(ctx).Begun()
			}
		case <-ctx.Done():
			return nil
		case <-r.Env.Draining:
			return nil
		}
	}
}

// sendBatches writes a batch and those that came meanwhile.
func (r *Resource) sendBatches(batch []store.Event, watcher store.Watcher, frames *framer, w http.ResponseWriter) error {
	scratch := getBuffer()
	defer putBuffer(scratch)
	done := 0
	if direct, ok := watcher.(store.Directed); ok {
		defer func() { direct.Done(done) }()
	}
	for {
		done++
		for i := range batch {
			frame, err := frames.frame(&batch[i], scratch)
			if err != nil {
				klog.ErrorS(err, "Cannot encode a watch event", "resource", r.Kind.Resource)
				return err
			}
			if err := request.WriteParts(w, frame.head, frame.object, frame.tail); err != nil {
				return err
			}
		}
		select {
		case more, open := <-watcher.Events():
			if open {
				batch = more
				continue
			}
		default:
		}
		return nil
	}
}

// upgrader takes browsers' watches over; the server authenticates every request, so origins do not matter.
var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }, WriteBufferSize: 4 << 10, ReadBufferSize: 1 << 10}

// watchSocket writes each frame as one message: text for JSON, binary for protobuf.
func (r *Resource) watchSocket(ctx context.Context, w http.ResponseWriter, req *http.Request, watcher store.Watcher, frames *framer) error {
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return wentAway(err) // Upgrade has answered
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // notices that the client goes away; ends when conn is closed
		defer cancel()
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	kind := websocket.TextMessage
	if frames.accept.Format != request.JSON {
		kind = websocket.BinaryMessage
	}
	frames.message = true
	scratch := getBuffer()
	defer putBuffer(scratch)
	for {
		select {
		case batch, open := <-watcher.Events():
			if !open {
				return nil
			}
			for i := range batch {
				frame, err := frames.frame(&batch[i], scratch)
				if err != nil {
					return wentAway(err)
				}
				if err := conn.WriteMessage(kind, frame.whole()); err != nil {
					return wentAway(err)
				}
			}
		case <-ctx.Done():
			return nil
		case <-r.Env.Draining:
			return nil
		}
	}
}

// ErrorStatus is what an ERROR event carries.
func ErrorStatus(err error) *metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		err = apierrors.NewInternalError(err)
	}
	status := request.StatusOf(err)
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	return status
}

func marshalStatus(err error) ([]byte, error) { return json.Marshal(ErrorStatus(err)) }

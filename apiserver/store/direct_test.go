package store

import (
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/resource"
)

// eyes are where a watch's events end up, by whichever way.
type eyes struct {
	mu      sync.Mutex
	seen    []int64
	refuse  int // takes so many events of each batch, and no more; -1: all
	offered int
	flushed int
	changed chan struct{} // with room for one
}

func (e *eyes) see(events []Event) {
	for _, one := range events {
		e.seen = append(e.seen, one.Item.Revision)
	}
}

func (e *eyes) Offer(events []Event, _ bool) (int, interface{ Flush() }) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offered++
	if e.refuse >= 0 && e.refuse < len(events) {
		events = events[:e.refuse]
	}
	e.see(events)
	select {
	case e.changed <- struct{}{}:
	default:
	}
	return len(events), e
}

func (e *eyes) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.flushed++
}

// TestDirect: what a watch's Direct does not take comes by its channel, and nothing overtakes that, also when the watch falls so far
// behind that it has to read the log.
func TestDirect(t *testing.T) {
	t.Parallel()
	server, err := etcd.Start(t.Context(), etcd.Config{DataDir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	kind := resource.Define(resource.Definition[*corev1.ConfigMap]{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Scope: resource.Namespaced})
	backend := Connect(BackendOptions{Client: server.Client(), Revision: server.Revision, Dedicated: true})
	t.Cleanup(backend.Stop)
	s := New(Options{Kind: kind, Backend: backend, Codec: ProtobufCodec(kind)})
	var wrote []int64
	create := func(n int) {
		for range n {
			name := fmt.Sprintf("n%d", len(wrote))
			item, err := s.Create(t.Context(), Key{Namespace: "default", Name: name}, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}, 0)
			if err != nil {
				t.Fatal(err)
			}
			wrote = append(wrote, item.Revision)
		}
	}
	create(1)
	watching, err := s.Watch(t.Context(), WatchQuery{Query: Query{ResourceVersion: formatRevision(wrote[0])}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watching.Stop)
	w := watching.(Directed)
	e := &eyes{refuse: -1, changed: make(chan struct{}, 1)}
	w.Direct(e)
	await := func() { // all that was written
		if _, err := s.Progress(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	read := func() {
		for {
			e.mu.Lock()
			done := len(e.seen) == len(wrote)-1
			e.mu.Unlock()
			if done {
				return
			}
			select {
			case batch := <-w.Events():
				e.mu.Lock()
				e.see(batch)
				e.mu.Unlock()
				w.Done(1)
			case <-e.changed:
			}
		}
	}
	state := func() (offered, waiting int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.offered, len(w.Events())
	}

	create(3)
	await()
	if offered, waiting := state(); offered == 0 || waiting > 0 || e.flushed == 0 {
		t.Errorf("%d offers, %d batches waiting, flushed %d times; want all events offered and flushed", offered, waiting, e.flushed)
	}
	e.mu.Lock()
	e.refuse = 0
	e.mu.Unlock()
	create(1)
	await()
	e.mu.Lock()
	e.refuse = -1
	e.mu.Unlock()
	before, _ := state()
	create(1)
	await()
	if offered, waiting := state(); offered != before || waiting == 0 {
		t.Errorf("%d offers, %d batches waiting: an event was offered while one before it was waiting", offered-before, waiting)
	}
	read()
	create(1)
	await()
	if offered, _ := state(); offered == before {
		t.Error("nothing is offered any more")
	}
	e.mu.Lock()
	e.refuse = 0
	e.mu.Unlock()
	create(3 * buffered) // it reads the log now
	await()
	e.mu.Lock()
	e.refuse = -1
	e.mu.Unlock()
	read()
	create(2)
	read()
	if fmt.Sprint(e.seen) != fmt.Sprint(wrote[1:]) {
		t.Errorf("seen %v, written %v", e.seen, wrote[1:])
	}
}

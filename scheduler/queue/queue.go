// Package queue holds the pods that wait to be placed: ready ones in order, refused ones until something happens that may help them, and
// those that must first back off. It does no I/O and reads no clock: time is given. It belongs to one goroutine.
//
//	       Add                     Pop
//	pod ─────────▶ active ───────────────▶ decision
//	  │              ▲  ▲                     │ refused
//	  │ gated        │  │ time is up          ▼
//	  ▼              │  └──────── backoff ◀─ unschedulable
//	unschedulable ───┘ event              event
package queue

import (
	"container/heap"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Place is where an entry is.
type Place uint8

// The places.
const (
	Nowhere Place = iota // popped, or removed
	Active
	Backoff
	Unschedulable
	Gated
)

var placeNames = [...]string{"inflight", "active", "backoff", "unschedulable", "gated"}

// String is the name of the queue in metrics.
func (p Place) String() string { return placeNames[p] }

// Entry is one waiting pod.
type Entry struct {
	Pod *snapshot.Pod
	// Profile is the scheduler name it asks for.
	Profile string
	// Attempts is how often it was tried.
	Attempts int
	// First is when it came, Since when it last changed its place for waiting.
	First, Since time.Time
	// Refused are the plugins that refused it the last time, Pending those among them that wait for something outside.
	Refused, Pending []string
	// Promised is the node that it is nominated for, "" if none; Queue.Promise sets it.
	Promised string
	// Why is the last refusal's message.
	Why string

	place  Place
	index  int // in its heap
	order  uint64
	until  time.Time // end of backoff
	failed int       // errors in a row, as against refusals
	seen   uint64    // events before it was popped
	early  bool      // may be popped before its backoff ends
	trusts string    // the promised node that it stands under among waiters, "" if under none
}

// Place is where the entry is.
func (e *Entry) Place() Place { return e.place }

// Until is when its backoff ends.
func (e *Entry) Until() time.Time { return e.until }

// Config is what a Queue needs to know.
type Config struct {
	// Initial and Max bound the backoff; upstream's defaults are 1 s and 10 s.
	Initial, Max time.Duration
	// MaxUnschedulable is after what time a refused pod is tried again although nothing happened; upstream's default is 5 min.
	MaxUnschedulable time.Duration
	// Less is the order of the active queue.
	Less func(a, b plugin.Queued) bool
	// PreEnqueue asks the profile's PreEnqueue plugins; nil if the pod may enter.
	PreEnqueue func(profile string, pod *corev1.Pod) *plugin.Status
	// Hints are the events that a plugin of a profile waits for; ok is false if it did not say, which means all.
	Hints func(profile, plugin string) (hints []plugin.EventHint, ok bool)
	// Profiles are the scheduler names there are.
	Profiles []string
	// Waits is told when a pod begins (1) or ends (-1) to wait because of a plugin; for metrics.
	Waits func(profile, plugin string, n int)
	// Moved is told of every entry that enters a place, and by which event; for metrics.
	Moved func(place Place, event string)
}

// Queue is the waiting pods.
type Queue struct {
	Config
	entries map[types.UID]*Entry
	active  entryHeap
	backoff entryHeap
	refused map[string]*waiters // unschedulable and gated entries by plugin; "" for those that any event may help
	counts  [Gated + 1]int
	order   uint64
	events  uint64
	last    [plugin.Resources]uint64 // event number by resource
	flush   time.Time                // when to look for entries that wait too long
	// trusting are promises that may be relied on, in the order in which that ends; some are over already.
	trusting []trust
}

// New returns an empty queue.
func New(c Config) *Queue {
	q := &Queue{Config: c, entries: map[types.UID]*Entry{}, refused: map[string]*waiters{}}
	q.active.less = func(a, b *Entry) bool { return q.Less(a.queued(), b.queued()) }
	q.backoff.less = func(a, b *Entry) bool {
		return a.until.Before(b.until) || (a.until.Equal(b.until) && a.order < b.order)
	}
	return q
}

func (e *Entry) queued() plugin.Queued {
	return plugin.Queued{Pod: e.Pod.Object, Priority: e.Pod.Shape.Priority, Since: e.Since, Order: e.order}
}

// Add takes a new pod in.
func (q *Queue) Add(pod *snapshot.Pod, now time.Time) *Entry {
	if old, ok := q.entries[pod.Object.UID]; ok {
		old.Pod.Object = pod.Object
		return old
	}
	q.order++
	e := &Entry{Pod: pod, Profile: pod.Object.Spec.SchedulerName, First: now, Since: now, order: q.order, index: -1}
	q.entries[pod.Object.UID] = e
	if !q.gate(e) {
		q.enter(e, Active, "UnscheduledPodAdd")
	}
	return e
}

// Lookup finds a waiting or popped pod.
func (q *Queue) Lookup(uid types.UID) (*Entry, bool) {
	e, ok := q.entries[uid]
	return e, ok
}

// Len is the number of entries in a place.
func (q *Queue) Len(p Place) int { return q.counts[p] }

// Each visits all entries, in no order.
func (q *Queue) Each(visit func(*Entry)) {
	for _, e := range q.entries {
		visit(e)
	}
}

// Pop takes the first ready entry. When none is ready, one that is only backing off from a refusal goes early: there is nothing better to do.
func (q *Queue) Pop(now time.Time) *Entry {
	q.ripen(now)
	var e *Entry
	if len(q.active.list) > 0 {
		e = q.active.list[0]
	} else if e = q.earlyBird(); e == nil {
		return nil
	}
	q.leave(e)
	e.place = Nowhere
	e.Attempts++
	e.seen = q.events
	q.counts[Nowhere]++
	return e
}

func (q *Queue) earlyBird() *Entry {
	for _, e := range q.backoff.list { // the first in the heap is nearly always the one
		if e.early {
			return e
		}
	}
	return nil
}

// ripen moves entries whose time is up.
func (q *Queue) ripen(now time.Time) {
	if q.counts[Unschedulable] > 0 && !now.Before(q.flush) {
		q.Flush(now)
	}
	for len(q.backoff.list) > 0 && !q.backoff.list[0].until.After(now) {
		e := q.backoff.list[0]
		q.leave(e)
		q.enter(e, Active, "BackoffComplete")
	}
}

// Wake is when time alone will make an entry ready or stale; ok is false if there is none.
func (q *Queue) Wake() (at time.Time, ok bool) {
	if len(q.backoff.list) > 0 {
		at, ok = q.backoff.list[0].until, true
	}
	if q.counts[Unschedulable] > 0 && (!ok || q.flush.Before(at)) {
		at, ok = q.flush, true
	}
	return at, ok
}

func (q *Queue) enter(e *Entry, p Place, event string) {
	e.place = p
	q.counts[p]++
	switch p {
	case Active:
		heap.Push(&q.active, e)
	case Backoff:
		heap.Push(&q.backoff, e)
	case Unschedulable, Gated:
		q.list(e)
		for _, name := range e.reasons() {
			q.waits(e, name, 1)
		}
	}
	if q.Moved != nil {
		q.Moved(p, event)
	}
}

func (q *Queue) waits(e *Entry, name string, n int) {
	if q.Waits != nil && name != "" {
		q.Waits(e.Profile, name, n)
	}
}

func (e *Entry) reasons() []string {
	if len(e.Refused) == 0 {
		return anything
	}
	return e.Refused
}

var anything = []string{""}

func (q *Queue) leave(e *Entry) {
	switch e.place {
	case Active:
		heap.Remove(&q.active, e.index)
	case Backoff:
		heap.Remove(&q.backoff, e.index)
	case Unschedulable, Gated:
		q.unlist(e)
		for _, name := range e.reasons() {
			q.waits(e, name, -1)
		}
	}
	q.counts[e.place]--
}

// entryHeap implements heap.Interface.
type entryHeap struct {
	list []*Entry
	less func(a, b *Entry) bool
}

func (h *entryHeap) Len() int           { return len(h.list) }
func (h *entryHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }
func (h *entryHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}
func (h *entryHeap) Push(x any) {
	e := x.(*Entry)
	e.index = len(h.list)
	h.list = append(h.list, e)
}
func (h *entryHeap) Pop() any {
	last := len(h.list) - 1
	e := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	e.index = -1
	return e
}

package queue

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// waiters are the entries that one plugin refused. Those that trust a promise stand apart, by its node, so that the many pods that leave
// while room is made for many others are each shown to those only whom they concern.
type waiters struct {
	all    map[*Entry]struct{}
	byNode map[string]map[*Entry]struct{}
}

// trust is a promise that an entry relies on for a while.
type trust struct {
	entry *Entry
	until time.Time
}

// promiseTrust is how long a pod with a promised node does not look at which pods leave others: its own victims are what it waits for.
const promiseTrust = 10 * time.Second

// Promise notes the node that is promised to an entry, "" if it is none any more.
func (q *Queue) Promise(e *Entry, node string) {
	if e.Promised == node {
		return
	}
	if e.place != Unschedulable {
		e.Promised = node
		return
	}
	q.unlist(e)
	e.Promised = node
	q.list(e)
}

// list puts a refused entry where events find it.
func (q *Queue) list(e *Entry) {
	e.trusts = ""
	if e.place == Unschedulable && e.Promised != "" {
		e.trusts = e.Promised
		q.trusting = append(q.trusting, trust{e, e.Since.Add(promiseTrust)})
	}
	q.listed(e)
}

func (q *Queue) listed(e *Entry) {
	for _, name := range e.reasons() {
		w := q.refused[name]
		if w == nil {
			w = &waiters{all: map[*Entry]struct{}{}, byNode: map[string]map[*Entry]struct{}{}}
			q.refused[name] = w
		}
		w.add(e)
	}
}

func (q *Queue) unlist(e *Entry) {
	for _, name := range e.reasons() {
		if w := q.refused[name]; w != nil && w.remove(e) {
			delete(q.refused, name)
		}
	}
}

func (w *waiters) add(e *Entry) {
	if e.trusts == "" {
		w.all[e] = struct{}{}
		return
	}
	set := w.byNode[e.trusts]
	if set == nil {
		set = map[*Entry]struct{}{}
		w.byNode[e.trusts] = set
	}
	set[e] = struct{}{}
}

// remove says whether nobody is left.
func (w *waiters) remove(e *Entry) (empty bool) {
	if e.trusts == "" {
		delete(w.all, e)
	} else if set := w.byNode[e.trusts]; set != nil {
		delete(set, e)
		if len(set) == 0 {
			delete(w.byNode, e.trusts)
		}
	}
	return len(w.all)+len(w.byNode) == 0
}

// each visits all entries. They may be taken out meanwhile.
func (w *waiters) each(visit func(*Entry)) {
	for e := range w.all {
		visit(e)
	}
	for _, set := range w.byNode {
		for e := range set {
			visit(e)
		}
	}
}

// concerned visits the entries that an event may concern. They may be taken out meanwhile.
func (w *waiters) concerned(event *plugin.Event, visit func(*Entry)) {
	node := left(event)
	if node == "" {
		w.each(visit)
		return
	}
	for e := range w.all {
		visit(e)
	}
	for e := range w.byNode[node] {
		visit(e)
	}
}

// left is the node that a pod has left, "" if the event is another one.
func left(event *plugin.Event) string {
	if event.Resource != plugin.AssignedPod || event.Action != plugin.Delete {
		return ""
	}
	if gone, ok := event.Old.(*corev1.Pod); ok {
		return gone.Spec.NodeName
	}
	return ""
}

// doubt ends the trust of entries that have waited for their promise long enough: from then on all events concern them.
func (q *Queue) doubt(now time.Time) {
	for len(q.trusting) > 0 && now.After(q.trusting[0].until) {
		t := q.trusting[0]
		q.trusting[0] = trust{}
		q.trusting = q.trusting[1:]
		e := t.entry
		if e.place != Unschedulable || e.trusts == "" || e.Since.Add(promiseTrust).After(t.until) {
			continue // it waits no more, or for another promise since
		}
		q.unlist(e)
		e.trusts = ""
		q.listed(e)
	}
}

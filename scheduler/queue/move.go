package queue

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Refuse puts a popped entry back that no node was found for. refused are the plugins that said no, pending those
// that wait for something outside. If one of the events that they wait for came since it was popped, it goes on at once.
func (q *Queue) Refuse(e *Entry, refused, pending []string, now time.Time) {
	if q.entries[e.Pod.Object.UID] != e {
		return // deleted meanwhile
	}
	q.counts[Nowhere]--
	e.Refused, e.Pending = append(append([]string(nil), refused...), pending...), pending
	e.Since, e.failed = now, 0
	q.setBackoff(e, max(e.Attempts, 1), true)
	if q.missed(e) {
		q.wake(e, len(pending) > 0, "ScheduleAttemptFailure", now)
		return
	}
	q.enter(e, Unschedulable, "ScheduleAttemptFailure")
}

// Fail puts a popped entry back after an unexpected error: it is tried again after a backoff.
func (q *Queue) Fail(e *Entry, now time.Time) {
	if q.entries[e.Pod.Object.UID] != e {
		return
	}
	q.counts[Nowhere]--
	e.failed++
	e.Refused, e.Pending, e.Since = nil, nil, now
	q.setBackoff(e, e.failed, false)
	q.wake(e, false, "ScheduleAttemptFailure", now)
}

// Done removes a popped entry that has found its node.
func (q *Queue) Done(e *Entry) { q.Remove(e.Pod.Object.UID) }

// Remove takes a pod out, wherever it is.
func (q *Queue) Remove(uid types.UID) {
	e, ok := q.entries[uid]
	if !ok {
		return
	}
	delete(q.entries, uid)
	q.leave(e)
	e.place = Nowhere
}

func (q *Queue) setBackoff(e *Entry, times int, early bool) {
	d := q.Initial
	for i := 1; i < times && d < q.Max; i++ {
		d *= 2
	}
	e.until, e.early = e.Since.Add(min(d, q.Max)), early
}

// missed says whether an event came while the entry was popped that one of its plugins waits for.
func (q *Queue) missed(e *Entry) bool {
	if q.events == e.seen {
		return false
	}
	for _, name := range e.Refused {
		hints, ok := q.Hints(e.Profile, name)
		if !ok {
			return true
		}
		for i := range hints {
			if hints[i].Resource != plugin.UnscheduledPod && q.last[hints[i].Resource] > e.seen {
				return true
			}
		}
	}
	return len(e.Refused) == 0
}

// gate keeps an entry out that a PreEnqueue plugin refuses; true if it did.
func (q *Queue) gate(e *Entry) bool {
	status := q.PreEnqueue(e.Profile, e.Pod.Object)
	if status.OK() {
		return false
	}
	e.Refused, e.Why = []string{status.Plugin}, status.Message()
	q.enter(e, Gated, "UnscheduledPodAdd")
	return true
}

// wake makes an entry, which is in no place, ready or lets it back off first.
func (q *Queue) wake(e *Entry, atOnce bool, event string, now time.Time) {
	if status := q.PreEnqueue(e.Profile, e.Pod.Object); !status.OK() {
		e.Refused, e.Why = []string{status.Plugin}, status.Message()
		q.enter(e, Gated, event)
		return
	}
	if atOnce || !e.until.After(now) {
		q.enter(e, Active, event)
		return
	}
	q.enter(e, Backoff, event)
}

// Update takes over a new state of a waiting pod. Changes of its own that its plugins wait for wake it.
func (q *Queue) Update(e *Entry, object *corev1.Pod, event *plugin.Event, now time.Time) {
	e.Pod.Object = object
	switch e.place {
	case Gated:
		if q.PreEnqueue(e.Profile, object).OK() {
			q.leave(e)
			e.Refused = nil
			q.enter(e, Active, event.Label)
		}
	case Unschedulable:
		if event.Action != 0 && q.helps(e, event) {
			q.leave(e)
			q.wake(e, false, event.Label, now)
		}
	}
}

// Happened wakes the entries that the event may help.
func (q *Queue) Happened(event *plugin.Event, now time.Time) {
	q.events++
	q.last[event.Resource] = q.events
	if q.counts[Unschedulable]+q.counts[Gated] == 0 {
		return
	}
	q.doubt(now)
	for name, w := range q.refused {
		if !q.interesting(name, event) {
			continue
		}
		w.concerned(event, func(e *Entry) {
			if e.place == Gated {
				if name == "SchedulingGates" || !q.PreEnqueue(e.Profile, e.Pod.Object).OK() {
					return
				}
			} else if pending, ok := q.helpsBy(e, name, event); !ok {
				return
			} else if pending {
				e.until = now
			}
			q.leave(e)
			q.wake(e, false, event.Label, now)
		})
	}
}

// interesting says whether a plugin waits for events of the kind in some profile, before each pod that it refused is looked at.
func (q *Queue) interesting(name string, event *plugin.Event) bool {
	if name == "" {
		return true
	}
	for _, profile := range q.Profiles {
		hints, ok := q.Hints(profile, name)
		if !ok {
			return true
		}
		for i := range hints {
			if (hints[i].Resource == event.Resource || hints[i].Resource == plugin.WildCard) && hints[i].Action&event.Action != 0 {
				return true
			}
		}
	}
	return false
}

func (q *Queue) helps(e *Entry, event *plugin.Event) bool {
	for _, name := range e.reasons() {
		if _, ok := q.helpsBy(e, name, event); ok {
			return true
		}
	}
	return false
}

// helpsBy says whether the event may make a plugin change its mind, and whether the plugin was waiting for something outside.
func (q *Queue) helpsBy(e *Entry, name string, event *plugin.Event) (pending, helps bool) {
	hints, ok := q.Hints(e.Profile, name)
	if name == "" || !ok {
		return false, true
	}
	for i := range hints {
		h := &hints[i]
		if (h.Resource == event.Resource || h.Resource == plugin.WildCard) && h.Action&event.Action != 0 &&
			(h.Hint == nil || h.Hint(e.Pod.Object, event)) {
			for _, p := range e.Pending {
				pending = pending || p == name
			}
			return pending, true
		}
	}
	return false, false
}

// Activate makes refused entries ready whatever they wait for; used when a plugin asks for it.
func (q *Queue) Activate(uid types.UID, event string, now time.Time) {
	if e, ok := q.entries[uid]; ok && (e.place == Unschedulable || e.place == Gated) {
		q.leave(e)
		q.wake(e, true, event, now)
	}
}

// Flush gives entries that were refused too long ago another chance, in case an event was missed.
func (q *Queue) Flush(now time.Time) {
	q.flush = now.Add(max(q.MaxUnschedulable/10, time.Second))
	for _, w := range q.refused {
		w.each(func(e *Entry) {
			if e.place == Unschedulable && now.Sub(e.Since) >= q.MaxUnschedulable {
				q.leave(e)
				q.wake(e, false, "UnschedulableTimeout", now)
			}
		})
	}
}

package flow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/apiserver/flow/fair"
)

// level is a priority level at work.
type level struct {
	name  string
	retry retryAfter
	// width is the most seats that one request may take.
	width atomic.Int32

	mu sync.Mutex
	// All below is guarded by mu.
	object *flowcontrolv1.PriorityLevelConfiguration
	set    *fair.Set
	// flows are the counts of each FlowSchema that has had requests here.
	flows map[string]*flowCounts
	limits
	current  int // seats for now
	smoothed float64
	seen     fair.Observed
	// quiescing: no longer wanted, but not empty yet.
	quiescing bool
	timings   timings
	inside    *ticket // the first of all that run
}

// limits of a level's seats by its configuration.
type limits struct{ nominal, least, most int }

// enter waits until it is the request's turn, for at most limit; false if it never comes.
func (l *level) enter(ctx context.Context, t *ticket, limit time.Duration) bool {
	l.mu.Lock()
	now := clock()
	flow := t.schema.counts
	outcome := l.set.Arrive(&t.request, now)
	switch outcome {
	case fair.Run:
		l.begin(t)
		flow.waited.observe(0, 1)
	case fair.Wait:
		t.ready = make(chan struct{})
		flow.waiting++
		flow.waitingSeats += t.request.Work.Width()
		flow.queueLength.observe(float64(l.set.Length(&t.request)), 1)
	case fair.Reject:
		flow.reject(l.reason())
		flow.waitedInVain.observe(0, 1)
	}
	flow.seats.observe(float64(t.request.Work.Width()), 1)
	l.timings.note(l, now)
	l.mu.Unlock()
	if outcome == fair.Wait {
		return l.wait(ctx, t, limit)
	}
	return outcome == fair.Run
}

// reason is why a request was refused at its arrival.
func (l *level) reason() string {
	if l.set.Queueing() {
		return "queue-full"
	}
	return "concurrency-limit"
}

// wait blocks until the request may run, its client goes away, or the time is up.
func (l *level) wait(ctx context.Context, t *ticket, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	timedOut := false
	select {
	case <-t.ready:
	case <-ctx.Done():
	case <-timer.C:
		timedOut = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := clock()
	flow := t.schema.counts
	spent := (now - t.request.Arrived).Seconds()
	if !l.set.Withdraw(&t.request, timedOut, now) {
		flow.waited.observe(spent, 1)
		return true
	}
	flow.waiting--
	flow.waitingSeats -= t.request.Work.Width()
	flow.reject("time-out")
	flow.waitedInVain.observe(spent, 1)
	l.timings.note(l, now)
	return false
}

// begin notes a request that has its seats; mu is held.
func (l *level) begin(t *ticket) {
	flow := t.schema.counts
	flow.running++
	flow.runningSeats += t.request.Work.Width()
	flow.dispatched++
	if t.next = l.inside; t.next != nil {
		t.next.prev = t
	}
	l.inside = t
}

// forget takes a request out of those that run; mu is held.
func (l *level) forget(t *ticket) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		l.inside = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
}

// started is what the Set calls, with mu held, for a request that has waited.
func (l *level) started(r *fair.Request) {
	t := r.Owner.(*ticket)
	if t.ready == nil {
		return // it did not have to wait after all
	}
	flow := t.schema.counts
	flow.waiting--
	flow.waitingSeats -= t.request.Work.Width()
	l.begin(t)
	close(t.ready)
}

// leave gives a request's seats back, at once or when what it has set off is likely to be over.
func (l *level) leave(t *ticket) {
	l.mu.Lock()
	now := clock()
	flow := t.schema.counts
	flow.running--
	l.forget(t)
	linger := l.set.End(&t.request, now)
	if linger <= 0 {
		flow.runningSeats -= t.request.Work.Width()
	}
	spent := (now - t.request.Began).Seconds()
	if t.state.Verb == "watch" {
		flow.watched.observe(spent, 1)
	} else {
		flow.ran.observe(spent, 1)
	}
	l.timings.note(l, now)
	l.mu.Unlock()
	if linger > 0 {
		time.AfterFunc(linger, func() { l.release(t) })
	}
}

func (l *level) release(t *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := clock()
	t.schema.counts.runningSeats -= t.request.Work.Width()
	l.set.Release(&t.request, now)
	l.timings.note(l, now)
}

// configure brings the level in line with its object and limits; mu is held.
func (l *level) configure(now time.Duration) {
	queues := fair.Config{Queues: -1}
	if limited := l.object.Spec.Limited; limited != nil {
		queues = fair.Config{}
		if q := limited.LimitResponse.Queuing; q != nil {
			queues = fair.Config{Queues: int(q.Queues), HandSize: int(q.HandSize), QueueLength: int(q.QueueLengthLimit)}
		}
	}
	l.width.Store(int32(l.widestRequest()))
	if l.set == nil {
		l.set = fair.New(queues, l.current, now, l.started)
		return
	}
	l.set.Configure(queues, l.current, now)
}

// exempt levels let everybody in.
func (l *level) exempt() bool {
	return l.object.Spec.Type == flowcontrolv1.PriorityLevelEnablementExempt
}

// idle says that nobody is in the level.
func (l *level) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set.Idle()
}

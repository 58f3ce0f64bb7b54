// Package fair is fair queuing of requests, as a data structure without locks, clocks or goroutines: requests arrive, begin, and end at
// times that the caller gives. A Set is one priority level: a number of seats, and queues for what finds none. Each flow is dealt a hand
// of the queues by its hash and waits in the one with the least work; queues take turns by virtual time, so that each gets the same share of
// seats however many wait in it. https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/1040-priority-and-fairness
package fair

import "time"

// Config is how a Set queues. Queues zero: what finds no seat is refused; negative: there is always a seat.
type Config struct {
	Queues, HandSize int
	// QueueLength is how many requests may wait in a queue.
	QueueLength int
}

// Work is how much a request is expected to take up: Seats while it runs, and Final seats for Extra after it.
type Work struct {
	Seats, Final int
	Extra        time.Duration
}

// Width is the most seats at a time.
func (w *Work) Width() int { return max(w.Seats, w.Final) }

// guess is how long a request is taken to run until it is known.
const guess = 3 * time.Millisecond

// total is the expected work in seat-seconds.
func (w *Work) total() float64 {
	return float64(w.Seats)*guess.Seconds() + float64(w.Final)*w.Extra.Seconds()
}

// Request is a request on its way through a Set. The caller sets Hash, Work and Owner before Arrive; a Request belongs to the Set until it
// has ended or been withdrawn.
type Request struct {
	Hash uint64
	Work Work
	// Owner is the caller's.
	Owner any
	// Arrived and Began are when it came in and when it got its seats.
	Arrived, Began time.Duration

	queue      *queue // nil: never in one
	next, prev *Request
	arrival    float64 // virtual time
	waiting    bool
}

// queue is a line of requests.
type queue struct {
	index       int
	head, tail  *Request
	length      int
	running     int     // requests
	seats       int     // of running requests, and of those that linger
	waitSeats   int     // widths of those that wait
	waitWork    float64 // total work of those that wait
	next        float64 // virtual start of the head
	deactivated bool    // beyond the wanted number
}

func (q *queue) active() bool { return q.length > 0 || q.running > 0 }

// Set is one priority level. The zero value is not usable; make one with New.
type Set struct {
	config Config
	limit  int
	queues []*queue
	// start is told of each request that gets its seats from the queue.
	start func(*Request)

	// virtual is how much each active queue has been given, in seat-seconds, and synced when that was so.
	virtual float64
	synced  time.Duration
	// robin is the queue that was served last, deals how many requests have been put into queues.
	robin, deals int

	// Sums over all queues, and what runs without one.
	activeQueues, waiting, waitSeats, running, seats int
	queueSeats                                       int // of seats, those that belong to queues

	// Counts since the beginning.
	Dispatched, Rejected, TimedOut, Cancelled int64
	// Stuck counts how often the next request was too wide for the free seats.
	Stuck int64
	// Demand is how many seats were wanted.
	Demand Demand
}

// New makes a Set with a number of seats. start is called during Arrive, End, Release and Configure for each request that had to wait
// and need no longer.
func New(config Config, limit int, now time.Duration, start func(*Request)) *Set {
	s := &Set{start: start, synced: now, Demand: Demand{since: now, at: now}}
	s.Configure(config, limit, now)
	return s
}

// Configure changes the queues and the number of seats. Queues that are no longer wanted are emptied first.
func (s *Set) Configure(config Config, limit int, now time.Duration) {
	s.sync(now)
	s.config, s.limit = config, limit
	for len(s.queues) < config.Queues {
		s.queues = append(s.queues, &queue{index: len(s.queues)})
	}
	for _, q := range s.queues {
		q.deactivated = q.index >= config.Queues
	}
	s.trim()
	s.dispatch(now)
}

// trim drops unwanted queues at the end that nobody is in.
func (s *Set) trim() {
	for n := len(s.queues); n > max(s.config.Queues, 0) && !s.queues[n-1].active() && s.queues[n-1].seats == 0; n-- {
		s.queues = s.queues[:n-1]
	}
	if s.robin >= len(s.queues) {
		s.robin = 0
	}
}

// Limit is the number of seats.
func (s *Set) Limit() int { return s.limit }

// Counts are the requests that wait and that run, and the seats that they want and have.
func (s *Set) Counts() (waiting, running, waitSeats, seats int) {
	return s.waiting, s.running, s.waitSeats, s.seats
}

// Virtual is the virtual time.
func (s *Set) Virtual() float64 { return s.virtual }

// Idle says that nobody runs or waits.
func (s *Set) Idle() bool { return s.waiting == 0 && s.running == 0 }

// Outcome is what becomes of a request at its arrival.
type Outcome int

const (
	// Run now: it has its seats.
	Run Outcome = iota
	// Wait until start is called, or Withdraw it.
	Wait
	// Reject it: there is no seat and no queue, or the queue is full.
	Reject
)

// Arrive takes a request in.
func (s *Set) Arrive(r *Request, now time.Duration) Outcome {
	s.sync(now)
	r.Arrived, r.arrival = now, s.virtual
	if s.config.Queues <= 0 {
		if !s.fits(r) {
			s.Rejected++
			return Reject
		}
		r.queue = nil
		s.begin(r, now)
		return Run
	}
	q := s.choose(r.Hash)
	if s.waiting == 0 && s.seats < s.limit && s.fits(r) { // nobody to be fair to
		s.activate(q)
		r.queue = q
		q.next = max(q.next, r.arrival)
		s.begin(r, now)
		q.next += r.Work.total()
		return Run
	}
	if s.seats >= s.limit && q.length >= s.config.QueueLength {
		s.Rejected++
		return Reject
	}
	s.enqueue(q, r, now)
	s.dispatch(now)
	if r.waiting {
		return Wait
	}
	return Run
}

// Withdraw takes a request that waits out of its queue; false if it has got its seats meanwhile. timedOut says why, for the counts.
func (s *Set) Withdraw(r *Request, timedOut bool, now time.Duration) bool {
	s.sync(now)
	if !r.waiting {
		return false
	}
	q := r.queue
	s.remove(q, r, now)
	s.bound(q)
	s.deactivate(q)
	s.Rejected++
	if timedOut {
		s.TimedOut++
	} else {
		s.Cancelled++
	}
	s.dispatch(now) // it may have been in the way
	return true
}

// End is called when a request has run. If linger is positive its seats stay taken: call Release after that time.
func (s *Set) End(r *Request, now time.Duration) (linger time.Duration) {
	s.sync(now)
	s.running--
	if q := r.queue; q != nil {
		q.running--
		// What it really took replaces what was guessed.
		q.next -= float64(r.Work.Seats) * (guess - (now - r.Began)).Seconds()
		s.bound(q)
		s.deactivate(q)
	}
	if r.Work.Extra > 0 {
		return r.Work.Extra
	}
	s.release(r, now)
	return 0
}

// Release gives back the seats of a request that lingered.
func (s *Set) Release(r *Request, now time.Duration) {
	s.sync(now)
	s.release(r, now)
}

func (s *Set) release(r *Request, now time.Duration) {
	width := r.Work.Width()
	s.seats -= width
	if r.queue != nil {
		r.queue.seats -= width
		s.queueSeats -= width
		if r.queue.deactivated {
			s.trim()
		}
	}
	s.demand(now)
	s.dispatch(now)
}

// begin gives a request its seats.
func (s *Set) begin(r *Request, now time.Duration) {
	r.Began = now
	width := r.Work.Width()
	s.running++
	s.seats += width
	s.Dispatched++
	if q := r.queue; q != nil {
		q.running++
		q.seats += width
		s.queueSeats += width
	}
	s.demand(now)
}

// fits says whether a request may begin. One that is wider than all seats begins when nobody else runs.
func (s *Set) fits(r *Request) bool {
	width := r.Work.Width()
	switch {
	case s.config.Queues < 0:
		return true
	case width > s.limit:
		return s.running == 0
	}
	return s.seats+width <= s.limit
}

func (s *Set) demand(now time.Duration) { s.Demand.set(float64(s.seats+s.waitSeats), now) }

// sync advances virtual time: it is how much each active queue has been given. When nobody is there it begins anew, which
// keeps it exact.
func (s *Set) sync(now time.Duration) {
	if s.activeQueues == 0 {
		s.virtual = 0
	} else {
		rate := float64(min(s.queueSeats+s.waitSeats, s.limit)) / float64(s.activeQueues)
		s.virtual += rate * (now - s.synced).Seconds()
	}
	s.synced = now
}

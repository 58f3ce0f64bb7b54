package fair

import (
	"math"
	"math/bits"
	"time"
)

// maxHand bounds the hand: upstream allows no larger one for the deck sizes that validation lets through.
const maxHand = 16

// choose deals a flow's hand and picks the queue of it with the least work waiting. The hand is looked at from a place that moves, so
// that no queue is preferred.
func (s *Set) choose(hash uint64) *queue {
	var hand [maxHand]int
	n := deal(hash, s.config.Queues, min(s.config.HandSize, maxHand), &hand)
	s.deals++
	var best *queue
	for i := range n {
		q := s.queues[hand[(s.deals+i)%n]]
		if best == nil || q.waitWork < best.waitWork {
			best = q
		}
	}
	return best
}

// spread makes neighbouring hashes different in all bits.
const spread = 0x9e3779b97f4a7c15

// deal draws size different cards of a deck, determined by hash. The hash is a fraction of which each card takes the next part.
func deal(hash uint64, deck, size int, hand *[maxHand]int) int {
	size = min(size, deck)
	rest := hash * spread
	for i := range size {
		var place uint64
		place, rest = bits.Mul64(rest, uint64(deck-i))
		card := int(place)
		// The card is a place among those that are left: skip those below it that are gone. hand[:i] is kept sorted for that.
		at := 0
		for at < i && hand[at] <= card {
			card++
			at++
		}
		copy(hand[at+1:i+1], hand[at:i])
		hand[at] = card
	}
	return size
}

// activate makes a queue take part in virtual time.
func (s *Set) activate(q *queue) {
	if !q.active() {
		q.next = s.virtual
		s.activeQueues++
	}
}

func (s *Set) deactivate(q *queue) {
	if !q.active() {
		s.activeQueues--
		if q.deactivated {
			s.trim()
		}
	}
}

func (s *Set) enqueue(q *queue, r *Request, now time.Duration) {
	s.activate(q)
	r.queue, r.waiting, r.next, r.prev = q, true, nil, q.tail
	if q.tail == nil {
		q.head = r
	} else {
		q.tail.next = r
	}
	q.tail = r
	q.length++
	width := r.Work.Width()
	q.waitSeats += width
	q.waitWork += r.Work.total()
	s.waiting++
	s.waitSeats += width
	s.bound(q)
	s.demand(now)
}

// remove takes a request out of its line.
func (s *Set) remove(q *queue, r *Request, now time.Duration) {
	if r.prev == nil {
		q.head = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		q.tail = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.waiting, r.next, r.prev = false, nil, nil
	q.length--
	width := r.Work.Width()
	q.waitSeats -= width
	if q.waitWork -= r.Work.total(); q.length == 0 {
		q.waitWork = 0 // no remainder of rounding
	}
	s.waiting--
	s.waitSeats -= width
	s.demand(now)
}

// bound keeps a queue that could not use its share from saving it up: nothing begins, in virtual time, before it has arrived.
func (s *Set) bound(q *queue) {
	if q.head != nil {
		q.next = max(q.next, q.head.arrival)
	}
}

// dispatch lets requests begin as long as there are seats.
func (s *Set) dispatch(now time.Duration) {
	for s.waiting > 0 && s.seats < s.limit {
		q, index := s.earliest()
		r := q.head
		if !s.fits(r) {
			s.Stuck++
			return
		}
		s.robin = index
		s.remove(q, r, now)
		// More seats at the end than there are become fewer for longer.
		if r.Work.Final > s.limit && s.limit > 0 {
			r.Work.Extra = time.Duration(float64(r.Work.Extra) * float64(r.Work.Final) / float64(s.limit))
			r.Work.Final = s.limit
		}
		s.begin(r, now)
		q.next += r.Work.total()
		s.bound(q)
		s.start(r)
	}
}

// earliest is the queue whose head would end first in virtual time, looked for in turn after the one that was served last.
func (s *Set) earliest() (*queue, int) {
	var best *queue
	least, index := math.Inf(1), s.robin
	n := len(s.queues)
	for i := 1; i <= n; i++ {
		at := (s.robin + i) % n
		q := s.queues[at]
		if q.head == nil {
			continue
		}
		if end := q.next + q.head.Work.total(); end < least {
			least, best, index = end, q, at
		}
	}
	return best, index
}

// QueueState is one queue, for those who look at a Set.
type QueueState struct {
	Waiting, Running, Seats, WaitSeats, WaitInitial int
	Next, WaitWork                                  float64
	Requests                                        []*Request // that wait, in order
}

// Queues are the states of all queues.
func (s *Set) Queues() []QueueState {
	all := make([]QueueState, len(s.queues))
	for i, q := range s.queues {
		all[i] = QueueState{Waiting: q.length, Running: q.running, Seats: q.seats, WaitSeats: q.waitSeats, Next: q.next, WaitWork: q.waitWork}
		for r := q.head; r != nil; r = r.next {
			all[i].Requests = append(all[i].Requests, r)
			all[i].WaitInitial += r.Work.Seats
		}
	}
	return all
}

// Place is the index of the queue that a request is or was in; -1: none.
func (r *Request) Place() int {
	if r.queue == nil {
		return -1
	}
	return r.queue.index
}

// Length is how many requests wait in the queue of a request.
func (s *Set) Length(r *Request) int {
	if r.queue == nil {
		return 0
	}
	return r.queue.length
}

// Queueing says whether requests may wait.
func (s *Set) Queueing() bool { return s.config.Queues > 0 }

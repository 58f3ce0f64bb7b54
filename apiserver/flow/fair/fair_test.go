package fair

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a Set with a clock that the test turns, and what has begun.
type world struct {
	*Set
	now     time.Duration
	running []*Request
}

func newWorld(config Config, limit int) *world {
	w := &world{}
	w.Set = New(config, limit, 0, func(r *Request) { w.running = append(w.running, r) })
	return w
}

func (w *world) arrive(hash uint64, seats int) (*Request, Outcome) {
	r := &Request{Hash: hash, Work: Work{Seats: seats}}
	outcome := w.Arrive(r, w.now)
	if outcome == Run && (len(w.running) == 0 || w.running[len(w.running)-1] != r) {
		w.running = append(w.running, r)
	}
	return r, outcome
}

func TestRequestsRunAtOnceWhileThereAreSeatsThenWaitThenAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 1, HandSize: 1, QueueLength: 2}, 2)
	var got []Outcome
	for range 5 {
		_, outcome := w.arrive(1, 1)
		got = append(got, outcome)
	}
	for i, want := range []Outcome{Run, Run, Wait, Wait, Reject} {
		if got[i] != want {
			t.Errorf("request %d: %v, want %v", i, got[i], want)
		}
	}
	w.End(w.running[0], w.now)
	if waiting, running, _, _ := w.Counts(); waiting != 1 || running != 2 {
		t.Errorf("after one has ended %d wait and %d run", waiting, running)
	}
}

func TestWithoutQueuesWhatFindsNoSeatIsRefusedAndExemptLevelsHaveAlwaysOne(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{}, 1)
	if _, first := w.arrive(1, 1); first != Run {
		t.Error(first)
	}
	if _, second := w.arrive(1, 1); second != Reject {
		t.Error(second)
	}
	exempt := newWorld(Config{Queues: -1}, 0)
	for range 100 {
		if _, outcome := exempt.arrive(1, 10); outcome != Run {
			t.Fatal(outcome)
		}
	}
}

// TestAFloodDoesNotStarveAnotherFlow: both get half the seats, though one asks for ten times as much.
func TestAFloodDoesNotStarveAnotherFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 8, HandSize: 1, QueueLength: 1000}, 4)
	served := map[uint64]int{}
	wait := map[uint64]int{}
	fill := func() {
		for wait[1] < 100 {
			w.arrive(1, 1)
			wait[1]++
		}
		for wait[2] < 10 {
			w.arrive(2, 1)
			wait[2]++
		}
	}
	fill()
	for range 4000 {
		w.now += 5 * time.Millisecond
		r := w.running[0]
		w.running = w.running[1:]
		served[r.Hash]++
		wait[r.Hash]--
		w.End(r, w.now)
		fill()
	}
	if ratio := float64(served[1]) / float64(served[2]); ratio < 0.9 || ratio > 1.1 {
		t.Errorf("the flood was served %d times, the other flow %d times", served[1], served[2])
	}
}

// TestWideRequestsCountByTheirSeats: a flow of requests four seats wide gets a quarter as many through.
func TestWideRequestsCountByTheirSeats(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 8, HandSize: 1, QueueLength: 1000}, 8)
	served := map[uint64]int{}
	wait := map[uint64]int{}
	fill := func() {
		for flow, seats := range map[uint64]int{1: 4, 2: 1} {
			for wait[flow] < 50 {
				w.arrive(flow, seats)
				wait[flow]++
			}
		}
	}
	fill()
	for range 10000 {
		w.now += time.Millisecond
		r := w.running[0]
		w.running = w.running[1:]
		served[r.Hash]++
		wait[r.Hash]--
		w.End(r, w.now)
		fill()
	}
	if ratio := float64(served[2]) / float64(served[1]); ratio < 3 || ratio > 5.5 {
		t.Errorf("narrow requests got through %d times, wide ones %d times", served[2], served[1])
	}
}

func TestARequestWiderThanAllSeatsRunsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 2, HandSize: 1, QueueLength: 10}, 2)
	first, _ := w.arrive(1, 1)
	wide, outcome := w.arrive(1, 5)
	if outcome != Wait {
		t.Fatal(outcome)
	}
	w.End(first, w.now)
	if w.running[len(w.running)-1] != wide {
		t.Error("the wide request does not run though nobody else does")
	}
}

func TestSeatsOfAWriteLingerForItsWatchers(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 1, HandSize: 1, QueueLength: 10}, 3)
	write := &Request{Work: Work{Seats: 1, Final: 3, Extra: time.Second}}
	if w.Arrive(write, w.now) != Run {
		t.Fatal("does not run")
	}
	linger := w.End(write, w.now)
	if linger != time.Second {
		t.Fatalf("lingers %v", linger)
	}
	next, outcome := w.arrive(1, 1)
	if outcome != Wait {
		t.Fatal(outcome)
	}
	w.now += linger
	w.Release(write, w.now)
	if w.running[len(w.running)-1] != next {
		t.Error("the next request does not run though the seats are free")
	}
}

func TestWhoGoesAwayIsTakenOut(t *testing.T) {
	t.Parallel()
	w := newWorld(Config{Queues: 4, HandSize: 2, QueueLength: 10}, 1)
	first, _ := w.arrive(1, 1)
	second, _ := w.arrive(2, 1)
	third, _ := w.arrive(3, 1)
	if !w.Withdraw(second, true, w.now) || w.Withdraw(first, true, w.now) {
		t.Error("one that waits can be taken out, one that runs cannot")
	}
	w.End(first, w.now)
	if w.running[len(w.running)-1] != third {
		t.Error("the third does not run")
	}
	if w.TimedOut != 1 || w.Rejected != 1 {
		t.Errorf("%d timed out, %d rejected", w.TimedOut, w.Rejected)
	}
}

// TestQueuesCanBeTakenAwayWhileTheyAreInUse and nothing is lost or counted twice.
func TestQueuesCanBeTakenAwayWhileTheyAreInUse(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	w := newWorld(Config{Queues: 8, HandSize: 3, QueueLength: 20}, 5)
	var waiting []*Request
	for range 20000 {
		w.now += time.Duration(random.IntN(1000)) * time.Microsecond
		switch random.IntN(10) {
		case 0:
			w.Configure(Config{Queues: 1 + random.IntN(12), HandSize: 1, QueueLength: 20}, 1+random.IntN(8), w.now)
		case 1:
			if len(waiting) > 0 {
				w.Withdraw(waiting[0], false, w.now)
				waiting = waiting[1:]
			}
		case 2, 3, 4, 5:
			if r, outcome := w.arrive(random.Uint64(), 1+random.IntN(3)); outcome == Wait {
				waiting = append(waiting, r)
			}
		default:
			if len(w.running) > 0 {
				w.End(w.running[0], w.now)
				w.running = w.running[1:]
			}
		}
		w.agree(t)
	}
}

// agree compares the Set's sums with what is in its queues.
func (w *world) agree(t *testing.T) {
	t.Helper()
	waiting, running, waitSeats, seats := w.Counts()
	var inQueues, runningInQueues, waitingSeats, seatsInQueues, active int
	for i, q := range w.queues {
		if q.index != i {
			t.Fatalf("queue %d has index %d", i, q.index)
		}
		inQueues += q.length
		runningInQueues += q.running
		waitingSeats += q.waitSeats
		seatsInQueues += q.seats
		if q.active() {
			active++
		}
	}
	if waiting != inQueues || running != runningInQueues || running != len(w.running) || waitSeats != waitingSeats || seats != seatsInQueues || active != w.activeQueues {
		t.Fatalf("sums %d %d %d %d %d, in queues %d %d %d %d %d, running %d", waiting, running, waitSeats, seats, w.activeQueues,
			inQueues, runningInQueues, waitingSeats, seatsInQueues, active, len(w.running))
	}
	if waiting > 0 && seats == 0 {
		t.Fatalf("%d wait though nobody runs", waiting)
	}
}

func TestAHandHasDifferentCardsAndAllHandsAreEquallyLikely(t *testing.T) {
	t.Parallel()
	counts := map[int]int{}
	for hash := range uint64(100_000) {
		var hand [maxHand]int
		n := deal(hash*0x9e3779b97f4a7c15, 16, 4, &hand)
		seen := map[int]bool{}
		for _, card := range hand[:n] {
			if card < 0 || card >= 16 || seen[card] {
				t.Fatalf("hand %v", hand[:n])
			}
			seen[card] = true
			counts[card]++
		}
	}
	for card, n := range counts {
		if n < 24_000 || n > 26_000 {
			t.Errorf("card %d was dealt %d times of 25000", card, n)
		}
	}
}

func TestSeatsAreSharedByDemandWithinBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seats  float64
		claims []Claim
		want   []float64
	}{
		"in proportion":        {30, []Claim{{0, 100, 10}, {0, 100, 20}}, []float64{10, 20}},
		"one at its most":      {30, []Claim{{0, 5, 10}, {0, 100, 10}}, []float64{5, 25}},
		"one at its least":     {30, []Claim{{20, 100, 20}, {0, 100, 40}}, []float64{20, 10}},
		"no demand":            {30, []Claim{{0, 100, 0}, {0, 100, 0}}, []float64{15, 15}},
		"just enough":          {30, []Claim{{10, 100, 10}, {20, 100, 50}}, []float64{10, 20}},
		"all that can be used": {30, []Claim{{0, 10, 50}, {0, 20, 50}}, []float64{10, 20}},
	} {
		got, _ := Share(c.seats, c.claims)
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-6 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
}

func TestDemandIsAveragedOverTime(t *testing.T) {
	t.Parallel()
	d := Demand{}
	d.set(10, 0)
	d.set(20, time.Second)
	got := d.Take(2 * time.Second)
	if got.Average != 15 || got.Deviation != 5 || got.Highest != 20 {
		t.Errorf("%+v", got)
	}
	if got = d.Take(4 * time.Second); got.Average != 20 || got.Highest != 20 || got.Over != 2*time.Second {
		t.Errorf("after that: %+v", got)
	}
}

// BenchmarkUncontended is a request that finds a seat.
func BenchmarkUncontended(b *testing.B) {
	s := New(Config{Queues: 128, HandSize: 6, QueueLength: 50}, 100, 0, func(*Request) {})
	r := &Request{Work: Work{Seats: 1}}
	b.ReportAllocs()
	for i := range b.N {
		now := time.Duration(i) * time.Microsecond
		r.Hash = uint64(i) * 0x9e3779b97f4a7c15
		s.Arrive(r, now)
		s.End(r, now)
	}
}

// BenchmarkContended is a request that waits for one of 128 queues that all have some.
func BenchmarkContended(b *testing.B) {
	var running []*Request
	s := New(Config{Queues: 128, HandSize: 6, QueueLength: 50}, 10, 0, func(r *Request) { running = append(running, r) })
	for i := range 1000 {
		r := &Request{Hash: uint64(i) * 0x9e3779b97f4a7c15, Work: Work{Seats: 1}}
		if s.Arrive(r, 0) == Run {
			running = append(running, r)
		}
	}
	b.ReportAllocs()
	for i := range b.N {
		now := time.Duration(i) * time.Microsecond
		r := running[0]
		running = append(running[:0], running[1:]...)
		s.End(r, now)
		s.Arrive(r, now)
	}
}

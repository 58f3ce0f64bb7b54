package flow

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/septet-io/septet/apiserver/flow/fair"
)

const (
	// adjustEvery is how often seats are lent and borrowed anew.
	adjustEvery = 10 * time.Second
	// decay of what was wanted: half is forgotten in five minutes.
	decay = 0.977
)

// adjustUntil lends and borrows seats until ctx ends.
func (f *Fairness) adjustUntil(ctx context.Context) {
	ticker := time.NewTicker(adjustEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.mu.Lock()
			f.adjust()
			f.mu.Unlock()
		}
	}
}

// adjust divides the seats by what was wanted since the last time; mu is held.
func (f *Fairness) adjust() {
	all := make([]*level, 0, len(f.levels))
	for _, l := range f.levels {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *level) int { return strings.Compare(a.name, b.name) })
	now := clock()
	states := make([]claimant, len(all))
	for i, l := range all {
		l.mu.Lock()
		l.observe(l.set.Demand.Take(now))
		states[i] = claimant{limits: l.limits, exempt: l.exempt(), highest: int(math.Round(l.seen.Highest)), smoothed: l.smoothed}
		l.mu.Unlock()
	}
	seats, fraction := lend(states)
	fairFraction.Set(fraction)
	for i, l := range all {
		l.mu.Lock()
		if l.current != seats[i] {
			l.current = seats[i]
			l.configure(now)
		}
		l.mu.Unlock()
	}
}

// observe takes in what was wanted; mu is held.
func (l *level) observe(o fair.Observed) {
	l.seen.Highest = o.Highest
	if o.Over <= 0 {
		return
	}
	l.seen = o
	envelope := o.Average + o.Deviation
	l.smoothed = max(envelope, decay*l.smoothed+(1-decay)*envelope)
}

// claimant is a level that wants seats.
type claimant struct {
	limits
	exempt   bool
	highest  int
	smoothed float64
}

// least is how many seats it must have: what it wanted at most, but neither less than it may not lend nor more than its own. Exempt
// levels get what they take.
func (c *claimant) floor() int {
	if c.exempt {
		return max(c.limits.least, c.highest)
	}
	return max(c.limits.least, min(c.nominal, c.highest))
}

// lend divides all seats among levels. When exempt levels have taken so many that the others cannot even have what they must, those
// get less, down to what they may not lend.
func lend(levels []claimant) (seats []int, fraction float64) {
	seats = make([]int, len(levels))
	var claims []fair.Claim
	remaining, leastSum, floorSum := 0, 0, 0
	for i := range levels {
		remaining += levels[i].nominal
	}
	total := remaining
	for i := range levels {
		c := &levels[i]
		if c.exempt {
			seats[i] = c.floor()
			remaining -= seats[i]
			continue
		}
		leastSum += c.least
		floorSum += c.floor()
		claims = append(claims, fair.Claim{Least: float64(c.floor()), Most: float64(c.most), Target: max(float64(c.floor()), c.smoothed)})
	}
	var shares []float64
	if remaining > floorSum {
		shares, fraction = fair.Share(float64(total), claims)
	}
	next := 0
	for i := range levels {
		c := &levels[i]
		if c.exempt {
			continue
		}
		switch {
		case remaining <= leastSum:
			seats[i] = c.least
		case remaining <= floorSum:
			part := float64(remaining-leastSum) / float64(floorSum-leastSum)
			seats[i] = c.least + int(math.Round(float64(c.floor()-c.least)*part))
		default:
			seats[i] = int(math.Round(shares[next]))
		}
		seats[i] = max(seats[i], 1) // a level without any would let its requests wait for the next adjustment
		next++
	}
	return seats, fraction
}

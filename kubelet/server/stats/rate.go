package stats

import (
	"sync"
	"time"
)

// rates turn counters into speeds: the difference to an earlier sample by the time between them.
type rates struct {
	mu      sync.Mutex
	samples map[string]*pair
}

// pair is the sample to compare with, and the speed last found.
type pair struct {
	at    time.Time
	total uint64
	speed *uint64
}

const (
	// leastWindow is how far two samples have to be apart: closer ones say nothing.
	leastWindow = time.Second
	// forget is when a sample of something that is no longer measured goes.
	forget = 10 * time.Minute
)

// of returns the speed of a counter in its units a second; nil at the first sample.
func (r *rates) of(key string, at time.Time, total uint64) *uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.samples == nil {
		r.samples = map[string]*pair{}
	}
	p := r.samples[key]
	if p == nil || total < p.total {
		r.drop(at)
		r.samples[key] = &pair{at: at, total: total}
		return nil
	}
	if window := at.Sub(p.at); window >= leastWindow {
		speed := uint64(float64(total-p.total) / window.Seconds())
		*p = pair{at: at, total: total, speed: &speed}
	}
	return p.speed
}

// drop forgets what has not been measured for long. r.mu is held.
func (r *rates) drop(now time.Time) {
	for key, p := range r.samples {
		if now.Sub(p.at) > forget {
			delete(r.samples, key)
		}
	}
}

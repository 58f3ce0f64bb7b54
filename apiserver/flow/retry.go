package flow

import (
	"sync"
	"sync/atomic"
)

// longestRetry bounds Retry-After, in seconds.
const longestRetry = 32

// retryAfter is how long refused clients are told to wait: twice as long while many are refused, a second less each second when few are.
type retryAfter struct {
	seconds atomic.Int64

	mu sync.Mutex
	// Guarded by mu: the second that is being counted, drops in it, and when seconds was raised last.
	second, drops, raised int64
	// history is guarded by mu: drops by second, modulo its length.
	history [longestRetry + 1]struct{ second, drops int64 }
}

func (r *retryAfter) after() int64 { return r.seconds.Load() }

// drop notes a refusal at a time in seconds.
func (r *retryAfter) drop(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now == r.second {
		r.drops++
		return
	}
	r.history[int(r.second)%len(r.history)] = struct{ second, drops int64 }{r.second, r.drops}
	r.second, r.drops = now, 1
	after := r.seconds.Load()
	var recent int64
	for _, one := range r.history {
		if now-one.second <= after && one.second < now {
			recent += one.drops
		}
	}
	switch {
	case now-r.raised >= after && recent >= 3*after:
		r.raised = now
		r.seconds.Store(min(2*after, longestRetry))
	case recent < after && after > 1:
		r.seconds.Store(after - 1)
	}
}

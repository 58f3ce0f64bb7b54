package pod

import "time"

// The delay between restarts of a container doubles from one to the other, and
// starts anew for one that ran for longer than the longest twice over.
const firstDelay = 10 * time.Second

// Backoff is the state of a container's crash loop. The zero value is none.
type Backoff struct {
	Delay time.Duration
	// Since is the end of the container that last made the delay longer.
	Since time.Time
	// Hash of the container as it then was: another definition starts anew.
	Hash string
	// Max is the longest delay.
	Max time.Duration
}

// Until returns until when a container that ended at finished waits for its
// restart, and whether it has to.
func (b Backoff) Until(hash string, finished time.Time) (time.Time, bool) {
	if b.Delay == 0 || b.expired(hash, finished) {
		return time.Time{}, false
	}
	return finished.Add(b.Delay), true
}

// Next returns the state after a restart of a container that ended at finished.
func (b Backoff) Next(hash string, finished time.Time, longest time.Duration) Backoff {
	next := Backoff{Delay: min(firstDelay, longest), Since: finished, Hash: hash, Max: longest}
	if b.Delay > 0 && !b.expired(hash, finished) {
		next.Delay = min(2*b.Delay, longest)
	}
	return next
}

func (b Backoff) expired(hash string, finished time.Time) bool {
	return b.Hash != hash || finished.Sub(b.Since) > 2*b.Max
}

package h2

import (
	"sync"
	"time"
)

// workers are goroutines that handle one request after the other: their stacks have grown already, which costs a tenth of a
// small request. There are as many as requests at a time; of those with nothing to do a few stay for a while.
type workers struct {
	patience time.Duration // how long one stays; idleWorker if zero

	mu   sync.Mutex
	idle []chan *stream // the last that became idle is the last
}

const (
	idleWorkers = 64
	idleWorker  = 5 * time.Second
)

// run handles a request, without waiting for it.
func (w *workers) run(s *stream) {
	w.mu.Lock()
	n := len(w.idle)
	if n == 0 {
		w.mu.Unlock()
		go w.work(s)
		return
	}
	next := w.idle[n-1]
	w.idle[n-1] = nil
	w.idle = w.idle[:n-1]
	w.mu.Unlock()
	next <- s // there is room for one
}

// work handles requests until there has been none for a while.
func (w *workers) work(s *stream) {
	next := make(chan *stream, 1)
	stay := w.patience
	if stay == 0 {
		stay = idleWorker
	}
	var patience *time.Timer
	for {
		s.c.handle(s)
		s = nil // what it holds is garbage meanwhile
		if !w.rest(next) {
			return
		}
		if patience == nil {
			patience = time.NewTimer(stay)
		} else {
			patience.Reset(stay)
		}
		select {
		case s = <-next:
		case <-patience.C:
			if w.leave(next) {
				return
			}
			s = <-next // it was given one at the same moment
		}
	}
}

// rest makes a worker one of the idle; false if there are enough.
func (w *workers) rest(next chan *stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) >= idleWorkers {
		return false
	}
	w.idle = append(w.idle, next)
	return true
}

// leave takes a worker out of the idle; false if it is none any more.
func (w *workers) leave(next chan *stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, one := range w.idle {
		if one == next {
			w.idle = append(w.idle[:i], w.idle[i+1:]...)
			return true
		}
	}
	return false
}

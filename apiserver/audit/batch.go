package audit

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// batching buffers events and writes them in batches, from a goroutine of its own: the mode "batch". What does not fit into the buffer is
// lost, so that a slow sink never holds requests up.
type batching struct {
	sink
	name    string
	size    int           // of a batch at most
	wait    time.Duration // how long an event may wait for others; only if size is more than one
	limit   *rate.Limiter // of batches; nil: none
	aside   bool          // each batch in a goroutine of its own
	buffer  chan *Event
	writers sync.WaitGroup
	done    chan struct{} // closed when the loop has ended

	mu     sync.RWMutex
	closed bool // guarded by mu: buffer is closed
}

// maxWriters bounds the batches that are being written at a time.
const maxWriters = 50

// closeTime is how long what is buffered may take to be written when the server ends.
const closeTime = 10 * time.Second

func (b *batching) start() *batching {
	b.done = make(chan struct{})
	go b.run()
	return b
}

var errFull = errors.New("the audit buffer is full")

func (b *batching) write(events []*Event) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		lost(b.name, errClosed, events)
		return true
	}
	for i, event := range events {
		select {
		case b.buffer <- event:
		default:
			lost(b.name, errFull, events[i:])
			return true
		}
	}
	return true
}

func (b *batching) close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.buffer)
	}
	b.mu.Unlock()
	select {
	case <-b.done:
	case <-time.After(closeTime):
	}
	b.sink.close() // a sink that hangs gives up
	<-b.done
}

func (b *batching) run() {
	defer close(b.done)
	defer b.writers.Wait()
	slots := make(chan struct{}, maxWriters)
	for {
		batch, more := b.collect()
		if len(batch) > 0 {
			if b.limit != nil {
				// The context never ends, and a batch is one token: there is no error.
				_ = b.limit.Wait(context.Background())
			}
			b.hand(batch, slots)
		}
		if !more {
			return
		}
	}
}

func (b *batching) hand(batch []*Event, slots chan struct{}) {
	if !b.aside {
		b.sink.write(batch)
		return
	}
	slots <- struct{}{}
	b.writers.Go(func() {
		defer func() { <-slots }()
		b.sink.write(batch)
	})
}

// collect waits for a first event, then for others until the batch is full or the first has waited long enough. More is false when
// the buffer is closed and empty.
func (b *batching) collect() (batch []*Event, more bool) {
	first, ok := <-b.buffer
	if !ok {
		return nil, false
	}
	batch = append(batch, first)
	if b.size <= 1 {
		return batch, true
	}
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	for len(batch) < b.size {
		select {
		case event, ok := <-b.buffer:
			if !ok {
				return batch, false
			}
			batch = append(batch, event)
		case <-timer.C:
			return batch, true
		}
	}
	return batch, true
}

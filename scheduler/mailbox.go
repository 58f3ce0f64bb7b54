package scheduler

import "sync"

// mailbox carries what happened to the one goroutine that decides. Posting never waits.
type mailbox struct {
	mu    sync.Mutex
	items []letter
	spare []letter
	bell  chan struct{}
}

// letter is one thing that happened: an object's change, or a function to run.
type letter struct {
	kind     kind
	old, new any
	do       func()
}

func newMailbox() *mailbox { return &mailbox{bell: make(chan struct{}, 1)} }

func (m *mailbox) post(l letter) {
	m.mu.Lock()
	m.items = append(m.items, l)
	first := len(m.items) == 1
	m.mu.Unlock()
	if first {
		select {
		case m.bell <- struct{}{}:
		default:
		}
	}
}

// take returns all letters in order. The slice is valid until the next take.
func (m *mailbox) take() []letter {
	m.mu.Lock()
	items := m.items
	m.items = m.spare[:0]
	m.mu.Unlock()
	m.spare = items
	return items
}

package auth

import (
	"sync"
	"time"
)

// maxAnswers bounds a memory: whoever sends ever new tokens must not fill the node.
const maxAnswers = 4096

// memory keeps answers for as long as each counts.
type memory[T any] struct {
	mu      sync.Mutex
	answers map[string]answer[T]
}

type answer[T any] struct {
	value T
	until time.Time
}

func newMemory[T any]() *memory[T] { return &memory[T]{answers: map[string]answer[T]{}} }

func (m *memory[T]) get(key string) (value T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.answers[key]
	if !ok || time.Now().After(a.until) {
		delete(m.answers, key)
		return value, false
	}
	return a.value, true
}

func (m *memory[T]) put(key string, value T, ttl time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.answers) >= maxAnswers {
		m.shed(now)
	}
	m.answers[key] = answer[T]{value: value, until: now.Add(ttl)}
}

// shed drops what no longer counts, or else an eighth of everything. m.mu is held.
func (m *memory[T]) shed(now time.Time) {
	for key, a := range m.answers {
		if now.After(a.until) {
			delete(m.answers, key)
		}
	}
	for key := range m.answers {
		if len(m.answers) < maxAnswers*7/8 {
			return
		}
		delete(m.answers, key)
	}
}

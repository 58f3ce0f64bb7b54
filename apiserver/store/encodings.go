package store

import (
	"sync"
	"time"
)

// Encodings are kept in four generations: a new one begins when the youngest has its share of the bound, or after
// a while; the oldest is dropped then. That is nearly least-recently-made, costs one append for each encoding, and an idle process
// ends up holding none.
const (
	generations      = 4
	generationAge    = 15 * time.Second
	defaultKeepBytes = 64 << 20
)

type keeper struct {
	mu    sync.Mutex
	bound int
	young generation
	old   [generations - 1]generation
	timer *time.Timer
	armed bool
}

type generation struct {
	items []*Item
	bytes int
}

var kept = &keeper{bound: defaultKeepBytes}

// KeepEncodings sets how many bytes of encodings the process keeps for the next reader; 64 MiB at first. The bound does not hold
// for those that are being sent.
func KeepEncodings(bytes int) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.bound = bytes
}

// Keepable says whether so many bytes of encodings at once leave room for others within the bound.
func Keepable(bytes int) bool {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	return bytes <= kept.bound*(generations-1)/generations
}

func (k *keeper) add(item *Item, bytes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young.bytes+bytes > k.bound/generations && len(k.young.items) > 0 {
		k.rotate()
	}
	k.young.items = append(k.young.items, item)
	k.young.bytes += bytes
	if k.armed {
		return
	}
	k.armed = true
	if k.timer == nil {
		k.timer = time.AfterFunc(generationAge, k.age)
	} else {
		k.timer.Reset(generationAge)
	}
}

// rotate drops the oldest generation and begins a new one.
func (k *keeper) rotate() {
	last := &k.old[len(k.old)-1]
	for _, item := range last.items {
		item.forget()
	}
	copy(k.old[1:], k.old[:len(k.old)-1])
	k.old[0], k.young = k.young, generation{}
}

// age runs only while there is something to drop.
func (k *keeper) age() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rotate()
	k.armed = false
	for _, g := range k.old {
		if len(g.items) > 0 {
			k.armed = true
		}
	}
	if k.armed {
		k.timer.Reset(generationAge)
	}
}

package store

import (
	"sync/atomic"
	"time"
)

// changeLog holds the last changes of a kind, numbered one after the other. Watches that begin at a revision, and those that
// fell behind, read it; the events in it are what watchers get, not copies.
type changeLog struct {
	chunks []*logChunk
	// first is the number of the first change in chunks[0], end that of the next change.
	first, end int64
	// floor: all changes after this revision are in the log.
	floor int64
}

// Bounds of a log. What is older is read from etcd's own history.
const (
	logChunkSize = 32
	logMax       = 8192
	logAge       = 90 * time.Second
)

// logChunk is filled once from the front; what is filled never changes, so slices of it can be read without a lock.
type logChunk struct {
	n      int
	begun  time.Time
	events [logChunkSize]Event
	olds   [logChunkSize]*Item
	left   [logChunkSize]atomic.Pointer[Item]
}

// span is a run of changes in one chunk.
type span struct {
	events []Event
	olds   []*Item
	left   []atomic.Pointer[Item]
}

func (l *changeLog) begin(revision int64) { *l = changeLog{floor: revision} }

// next is the number that the next change gets.
func (l *changeLog) next() int64 { return l.end }

func (l *changeLog) append(changes []change) {
	now := time.Now()
	for _, ch := range changes {
		var last *logChunk
		if n := len(l.chunks); n > 0 {
			last = l.chunks[n-1]
		}
		if last == nil || last.n == logChunkSize {
			last = &logChunk{begun: now}
			l.chunks = append(l.chunks, last)
			l.trim(now)
		}
		last.events[last.n], last.olds[last.n] = ch.event, ch.old
		last.n++
		l.end++
	}
}

// trim drops whole chunks that are too many, or whose changes are all too old.
func (l *changeLog) trim(now time.Time) {
	drop := 0
	for drop < len(l.chunks)-1 {
		tooMany := (len(l.chunks)-drop)*logChunkSize > logMax
		tooOld := now.Sub(l.chunks[drop+1].begun) > logAge
		if !tooMany && !tooOld {
			break
		}
		l.floor = l.chunks[drop].events[logChunkSize-1].Item.Revision
		l.first += logChunkSize
		drop++
	}
	if drop > 0 {
		l.chunks = append(make([]*logChunk, 0, len(l.chunks)-drop), l.chunks[drop:]...)
	}
}

// after is the number of the first change later than a revision, which must be at or above the floor.
func (l *changeLog) after(revision int64) int64 {
	total := int(l.end - l.first)
	return l.first + int64(search(total, func(i int) bool {
		return l.chunks[i/logChunkSize].events[i%logChunkSize].Item.Revision <= revision
	}))
}

// spanFrom returns the changes from a number on that are in the same chunk; empty at the end. ok is false if the log
// does not reach back so far.
func (l *changeLog) spanFrom(number int64) (s span, ok bool) {
	if number < l.first {
		return span{}, false
	}
	if number >= l.end {
		return span{}, true
	}
	offset := int(number - l.first)
	chunk, i := l.chunks[offset/logChunkSize], offset%logChunkSize
	return span{chunk.events[i:chunk.n:chunk.n], chunk.olds[i:chunk.n:chunk.n], chunk.left[i:chunk.n:chunk.n]}, true
}

// leaving is the state before change i at the change's revision: what a watcher sees whose selection the object leaves.
func (s *span) leaving(i int) *Item {
	if item := s.left[i].Load(); item != nil {
		return item
	}
	item := s.olds[i].at(s.events[i].Item.Revision)
	if !s.left[i].CompareAndSwap(nil, item) {
		return s.left[i].Load()
	}
	return item
}

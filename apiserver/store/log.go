package store

import (
	"slices"
	"sync/atomic"
	"time"
)

// changeLog holds the last changes of a kind, numbered one after the other. Watches that begin at a revision, and those that
// fell behind, read it; the events in it are what watchers get, not copies.
type changeLog struct {
	chunks []*logChunk
	// base is the number of the first place in chunks[0], first that of the first change in it (the places before may be
	// empty), end that of the next change.
	base, first, end int64
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
		l.base += logChunkSize
		l.first = l.base
		drop++
	}
	if drop > 0 {
		l.chunks = append(make([]*logChunk, 0, len(l.chunks)-drop), l.chunks[drop:]...)
	}
}

// after is the number of the first change later than a revision, which must be at or above the floor.
func (l *changeLog) after(revision int64) int64 {
	skipped := int(l.first - l.base)
	return l.first + int64(search(int(l.end-l.first), func(i int) bool {
		i += skipped
		return l.chunks[i/logChunkSize].events[i%logChunkSize].Item.Revision <= revision
	}))
}

// prepend puts older changes before the first, so that the log reaches back to a revision.
func (l *changeLog) prepend(changes []change, floor int64) {
	l.floor = floor
	if len(changes) == 0 {
		return
	}
	// Places before the present first change are filled too, in a copy: slices of the chunk are being read.
	var chunks []*logChunk
	if skipped := int(l.first - l.base); skipped > 0 {
		old := l.chunks[0]
		chunk := &logChunk{n: old.n, begun: old.begun}
		copy(chunk.events[skipped:], old.events[skipped:])
		copy(chunk.olds[skipped:], old.olds[skipped:])
		l.chunks[0] = chunk
		n := min(skipped, len(changes))
		chunk.fill(skipped-n, changes[len(changes)-n:])
		changes = changes[:len(changes)-n]
		l.first -= int64(n)
	}
	now := time.Now()
	for end := len(changes); end > 0; {
		n := min(logChunkSize, end)
		chunk := &logChunk{n: logChunkSize, begun: now}
		chunk.fill(logChunkSize-n, changes[end-n:end])
		chunks = append(chunks, chunk)
		end -= n
		l.base -= logChunkSize
		l.first = l.base + logChunkSize - int64(n)
	}
	slices.Reverse(chunks)
	l.chunks = append(chunks, l.chunks...)
}

func (c *logChunk) fill(at int, changes []change) {
	for i, ch := range changes {
		c.events[at+i], c.olds[at+i] = ch.event, ch.old
	}
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
	offset := int(number - l.base)
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

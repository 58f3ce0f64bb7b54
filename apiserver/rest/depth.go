package rest

import (
	"encoding/binary"
	"errors"
)

// maxDepth bounds how deep a message may be nested, as encoding/json does: generated code reads nested messages by recursion, and a
// goroutine that runs out of stack ends the process.
const maxDepth = 10000

var errTooDeep = errors.New("exceeded max depth")

// The wire types of protobuf that matter for finding nested messages.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// checkDepth refuses messages that may be nested deeper than limit. What could be a nested message counts as one, since only the
// message's type tells it from a string; each byte is looked at once. For kinds whose messages can be nested in themselves.
func checkDepth(message []byte, limit int) error {
	// ends are where the messages end within which the current place is.
	ends := make([]int, 1, 16)
	ends[0] = len(message)
	for at := 0; at < len(message); {
		for at >= ends[len(ends)-1] {
			ends = ends[:len(ends)-1]
		}
		end := ends[len(ends)-1]
		size, inner, ok := fieldHead(message[at:end])
		if !ok { // no message after all: nothing is nested in the rest of it
			at = end
			continue
		}
		if inner > 0 {
			if len(ends) == limit {
				return errTooDeep
			}
			ends = append(ends, at+size)
			size -= inner
		}
		at += size
	}
	return nil
}

// fieldHead reads the head of a field: how long the whole field is, and how much of it may be a nested message.
func fieldHead(b []byte) (size, inner int, ok bool) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return 0, 0, false
	}
	switch tag & 7 {
	case wireVarint:
		_, m := binary.Uvarint(b[n:])
		return n + m, 0, m > 0
	case wireFixed64:
		return n + 8, 0, len(b) >= n+8
	case wireFixed32:
		return n + 4, 0, len(b) >= n+4
	case wireGroup, wireEnd: // what is in a group is looked at as if it stood beside it: reading one needs no recursion
		return n, 0, true
	case wireBytes:
		length, m := binary.Uvarint(b[n:])
		if m <= 0 || length > uint64(len(b)-n-m) {
			return 0, 0, false
		}
		return n + m + int(length), int(length), true
	}
	return 0, 0, false
}

package logs

import (
	"bytes"
	"errors"
	"time"
)

// line is one record of a log file: "2026-01-02T15:04:05.123456789Z stdout F text\n".
type line struct {
	stamp   []byte
	stream  string
	partial bool // the text goes on in the stream's next record
	text    []byte
}

var errMalformed = errors.New("log line is not in the CRI log format")

// parse splits a record, newline included or not.
func parse(raw []byte) (line, error) {
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	var l line
	var stream, tags []byte
	var ok bool
	if l.stamp, raw, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, errMalformed
	}
	if stream, raw, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, errMalformed
	}
	switch string(stream) {
	case "stdout":
		l.stream = "stdout"
	case "stderr":
		l.stream = "stderr"
	default:
		return l, errMalformed
	}
	if tags, l.text, ok = bytes.Cut(raw, []byte(" ")); !ok {
		return l, errMalformed
	}
	// Tags may be joined by colons; the first says whether the line is whole.
	first, _, _ := bytes.Cut(tags, []byte(":"))
	l.partial = string(first) == "P"
	return l, nil
}

// time parses the stamp.
func (l *line) time() (time.Time, error) { return time.Parse(time.RFC3339Nano, string(l.stamp)) }

package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
)

// sink takes events. Neither side changes them any more. write returns false if any was lost; who loses them has said so in the log.
type sink interface {
	write(events []*Event) bool
	// close returns when all that was taken is written, or given up.
	close()
}

// all writes to several sinks.
type all []sink

func (a all) write(events []*Event) bool {
	stored := true
	for _, one := range a {
		stored = one.write(events) && stored
	}
	return stored
}

func (a all) close() {
	for _, one := range a {
		one.close()
	}
}

// lenient lets requests go on whose events were lost: the mode "blocking".
type lenient struct{ sink }

func (l lenient) write(events []*Event) bool {
	l.sink.write(events)
	return true
}

// file writes a line an event.
type file struct {
	out  io.Writer
	line func(*Event) ([]byte, error)
}

// jsonLine and legacyLine are the formats of --audit-log-format.
func jsonLine(event *Event) ([]byte, error) {
	line, err := json.Marshal(event)
	return append(line, '\n'), err
}

func legacyLine(event *Event) ([]byte, error) { return []byte(event.legacy() + "\n"), nil }

func (f *file) write(events []*Event) bool {
	stored := true
	for _, event := range events {
		line, err := f.line(event)
		if err == nil {
			_, err = f.out.Write(line)
		}
		if err != nil {
			lost("log", err, []*Event{event})
			stored = false
		}
	}
	return stored
}

func (f *file) close() {
	if closer, ok := f.out.(io.Closer); ok {
		if err := closer.Close(); err != nil {
			lost("log", err, nil)
		}
	}
}

// truncatedKey marks events whose objects were left out because they were too large.
const truncatedKey = "audit.k8s.io/truncated"

// truncating keeps events and batches below a size: first by leaving objects out, then by leaving the event out.
type truncating struct {
	sink
	maxEvent, maxBatch int64
}

func (t *truncating) write(events []*Event) bool {
	stored := true
	var batch []*Event
	var size int64
	flush := func() {
		if len(batch) > 0 {
			stored = t.sink.write(batch) && stored
		}
		batch, size = nil, 0
	}
	for _, event := range events {
		fitting, bytes, err := t.fit(event)
		if err != nil {
			lost("truncate", err, []*Event{event})
			continue
		}
		if size+bytes > t.maxBatch {
			flush()
		}
		batch, size = append(batch, fitting), size+bytes
	}
	flush()
	return stored
}

// fit returns the event, or one without its objects, and how many bytes it has.
func (t *truncating) fit(event *Event) (*Event, int64, error) {
	encoded, err := json.Marshal(event)
	if err != nil {
		return nil, 0, err
	}
	if int64(len(encoded)) > t.maxEvent && (event.RequestObject != nil || event.ResponseObject != nil) {
		short := *event
		short.RequestObject, short.ResponseObject = nil, nil
		short.Annotations = maps.Clone(event.Annotations)
		if short.Annotations == nil {
			short.Annotations = map[string]string{}
		}
		short.Annotations[truncatedKey] = "true"
		event = &short
		if encoded, err = json.Marshal(event); err != nil {
			return nil, 0, err
		}
	}
	if int64(len(encoded)) > t.maxEvent {
		return nil, 0, fmt.Errorf("an event of %d bytes is too large even without its objects", len(encoded))
	}
	return event, int64(len(encoded)), nil
}

var errClosed = errors.New("the audit sink is closed")

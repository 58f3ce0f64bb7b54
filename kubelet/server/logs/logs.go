// Package logs reads containers' log files as the CRI defines them: from the end or from a moment, one stream or both,
// and as they grow, through rotation.
package logs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Options say what is wanted. The zero value is all that there is.
type Options struct {
	// Tail is the number of last lines to begin with; negative is all.
	Tail int64
	// Limit ends after so many bytes; not positive is no limit.
	Limit int64
	// Since leaves out what is older.
	Since time.Time
	// Timestamps begin each line with its time.
	Timestamps bool
	// Stream is "stdout" or "stderr"; empty is both.
	Stream string
	// Follow goes on until the container has stopped.
	Follow bool
}

// FromAPI translates the API's options; now is what sinceSeconds counts back from.
func FromAPI(from *corev1.PodLogOptions, now time.Time) Options {
	options := Options{Tail: -1, Timestamps: from.Timestamps, Follow: from.Follow}
	if from.TailLines != nil {
		options.Tail = *from.TailLines
	}
	if from.LimitBytes != nil {
		options.Limit = *from.LimitBytes
	}
	if from.SinceTime != nil {
		options.Since = from.SinceTime.Time
	}
	if from.SinceSeconds != nil {
		options.Since = now.Add(-time.Duration(*from.SinceSeconds) * time.Second)
	}
	if from.Stream != nil {
		switch *from.Stream {
		case corev1.LogStreamStdout:
			options.Stream = "stdout"
		case corev1.LogStreamStderr:
			options.Stream = "stderr"
		}
	}
	return options
}

// stampFormat has all nine digits, so that columns align.
const stampFormat = "2006-01-02T15:04:05.000000000Z07:00"

const bufferSize = 64 << 10

// Read writes the log in the file at path to out. flush is called whenever all that is there has been written and more is awaited. With Follow
// it goes on until ctx ends, or stopped is closed and the file has been read to its end; a nil stopped means that the container has stopped already.
func Read(ctx context.Context, path string, options Options, stopped <-chan struct{}, out io.Writer, flush func()) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	r := &reader{path: path, file: file, options: options, out: out, flush: flush, begun: true}
	defer func() { r.file.Close() }()
	if options.Tail >= 0 {
		start, err := tail(file, options.Tail)
		if err != nil {
			return err
		}
		if _, err := file.Seek(start, io.SeekStart); err != nil {
			return err
		}
	}
	r.buffer = bufio.NewReaderSize(file, bufferSize)
	if err := r.run(ctx, stopped); !errors.Is(err, errLimit) {
		return err
	}
	return nil
}

// errLimit ends a reading that has delivered as many bytes as were asked for.
var errLimit = errors.New("limit reached")

type reader struct {
	path    string
	file    *os.File
	buffer  *bufio.Reader
	options Options
	out     io.Writer
	flush   func()
	// rest is the beginning of a record whose end has not been written yet.
	rest []byte
	// begun means that the next text starts a line of output.
	begun   bool
	written int64
}

func (r *reader) run(ctx context.Context, stopped <-chan struct{}) error {
	if !r.options.Follow || stopped == nil {
		return r.drain(ctx)
	}
	// Watch before the first look, else what comes in between is missed.
	news, cancel, err := watcher.watch(filepath.Dir(r.path))
	if err != nil {
		return err
	}
	defer cancel()
	for {
		if err := r.drain(ctx); err != nil {
			return err
		}
		rotated, err := r.reopen(ctx)
		if err != nil {
			return err
		}
		if rotated {
			continue
		}
		r.flush()
		select {
		case <-ctx.Done():
			return nil // whoever asked has gone
		case <-stopped:
			return r.drain(ctx)
		case <-news:
		}
	}
}

// drain delivers all complete records up to the end of the file.
func (r *reader) drain(ctx context.Context) error {
	for {
		raw, err := r.buffer.ReadSlice('\n')
		if len(r.rest) > 0 || errors.Is(err, bufio.ErrBufferFull) || (err != nil && len(raw) > 0) {
			r.rest = append(r.rest, raw...)
			raw = r.rest
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		err = r.deliver(raw)
		r.rest = r.rest[:0]
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// reopen goes over to the new file after a rotation, having read the old one to its end.
func (r *reader) reopen(ctx context.Context) (bool, error) {
	now, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // between the rename and the runtime's reopening
	}
	if err != nil {
		return false, err
	}
	old, err := r.file.Stat()
	if err != nil {
		return false, err
	}
	if os.SameFile(now, old) {
		return false, nil
	}
	next, err := os.Open(r.path)
	if err != nil {
		return false, err
	}
	if err := r.drain(ctx); err != nil {
		next.Close()
		return false, err
	}
	r.file.Close()
	r.file, r.rest = next, r.rest[:0]
	r.buffer.Reset(next)
	return true, nil
}

// deliver writes one record, if it is wanted. Lines that are no records are left out: half a line after a crash, most likely.
func (r *reader) deliver(raw []byte) error {
	l, err := parse(raw)
	if err != nil || r.options.Stream != "" && l.stream != r.options.Stream {
		return nil
	}
	if !r.options.Since.IsZero() || r.options.Timestamps {
		at, err := l.time()
		if err != nil || at.Before(r.options.Since) {
			return nil
		}
		if r.options.Timestamps && r.begun {
			if err := r.write(append(at.AppendFormat(nil, stampFormat), ' ')); err != nil {
				return err
			}
		}
	}
	r.begun = !l.partial
	if err := r.write(l.text); err != nil || l.partial {
		return err
	}
	return r.write(newline)
}

var newline = []byte("\n")

func (r *reader) write(data []byte) error {
	if limit := r.options.Limit; limit > 0 {
		if left := limit - r.written; int64(len(data)) >= left {
			if _, err := r.out.Write(data[:left]); err != nil {
				return err
			}
			return errLimit
		}
	}
	n, err := r.out.Write(data)
	r.written += int64(n)
	return err
}

package logs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sample = "" +
	"2026-01-02T10:00:00.000000001Z stdout F one\n" +
	"2026-01-02T10:00:01.5Z stderr F two\n" +
	"2026-01-02T10:00:02Z stdout P thr\n" +
	"2026-01-02T10:00:02.1Z stdout F ee\n" +
	"not a record\n" +
	"2026-01-02T10:00:03Z stdout F:X four\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// conformance: Kubectl, logs
func TestRead(t *testing.T) {
	t.Parallel()
	path := write(t, sample)
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"all":        {Options{Tail: -1}, "one\ntwo\nthree\nfour\n"},
		"stdout":     {Options{Tail: -1, Stream: "stdout"}, "one\nthree\nfour\n"},
		"stderr":     {Options{Tail: -1, Stream: "stderr"}, "two\n"},
		"tail":       {Options{Tail: 1}, "four\n"},
		"tail none":  {Options{Tail: 0}, ""},
		"tail many":  {Options{Tail: 100}, "one\ntwo\nthree\nfour\n"},
		"limit":      {Options{Tail: -1, Limit: 6}, "one\ntw"},
		"since":      {Options{Tail: -1, Since: time.Date(2026, 1, 2, 10, 0, 2, 0, time.UTC)}, "three\nfour\n"},
		"timestamps": {Options{Tail: -1, Timestamps: true, Stream: "stdout"}, "2026-01-02T10:00:00.000000001Z one\n2026-01-02T10:00:02.000000000Z three\n2026-01-02T10:00:03.000000000Z four\n"},
	} {
		var out bytes.Buffer
		if err := Read(t.Context(), path, c.options, nil, &out, func() {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out.String() != c.want {
			t.Errorf("%s: %q, want %q", name, out.String(), c.want)
		}
	}
	if err := Read(t.Context(), path+".gone", Options{}, nil, io.Discard, func() {}); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*tailBlock)
	for _, c := range []struct {
		text string
		n    int64
		want string
	}{
		{"", 3, ""}, {"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"\n\n\n", 2, "\n\n"},
		{long + "\n" + long + "\nlast\n", 2, long + "\nlast\n"},
	} {
		file, err := os.Open(write(t, c.text))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		start, err := tail(file, c.n)
		if err != nil || c.text[start:] != c.want {
			t.Errorf("last %d of %d bytes begin at %d (%v)", c.n, len(c.text), start, err)
		}
	}
}

// Following sees lines as they come, goes over to the new file when the log is rotated, and ends with the container.
func TestFollowThroughRotation(t *testing.T) {
	t.Parallel()
	path := write(t, "")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	put := func(format string, args ...any) {
		if _, err := fmt.Fprintf(file, format, args...); err != nil {
			t.Fatal(err)
		}
	}
	stopped := make(chan struct{})
	reader, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Read(t.Context(), path, Options{Tail: -1, Follow: true}, stopped, out, func() {})
		out.Close()
		done <- err
	}()
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(reader, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	put("2026-01-02T10:00:00Z stdout F first\n")
	expect("first\n")
	put("2026-01-02T10:00:00Z stdout F half")
	put(" and half\n")
	expect("half and half\n")
	for i := range 3 {
		put("2026-01-02T10:00:00Z stdout F before %d\n", i)
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		put("2026-01-02T10:00:00Z stdout F meanwhile %d\n", i)
		file.Close()
		if file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
			t.Fatal(err)
		}
		put("2026-01-02T10:00:00Z stdout F after %d\n", i)
		expect(fmt.Sprintf("before %d\nmeanwhile %d\nafter %d\n", i, i, i))
	}
	put("2026-01-02T10:00:00Z stdout F last\n")
	close(stopped)
	expect("last\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
	file.Close()
}

func TestFollowEndsWithTheClient(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	path := write(t, sample)
	go func() {
		done <- Read(ctx, path, Options{Tail: -1, Follow: true}, make(chan struct{}), io.Discard, cancel)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range strings.Split(sample, "\n") {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parse(data)
		if err == nil && l.stream != "stdout" && l.stream != "stderr" {
			t.Errorf("stream %q", l.stream)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	path := filepath.Join(b.TempDir(), "0.log")
	if err := os.WriteFile(path, bytes.Repeat([]byte("2026-01-02T10:00:00.000000001Z stdout F a line of some sixty bytes, as programs write them\n"), 10_000), 0o600); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		if err := Read(b.Context(), path, Options{Tail: -1}, nil, io.Discard, func() {}); err != nil {
			b.Fatal(err)
		}
	}
}

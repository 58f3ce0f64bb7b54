package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// streamsPerConnection is how many watches share a connection: what upstream's server allows, and client-go therefore does.
const streamsPerConnection = 100

// watches measures watchers of all Pods, and watchers of one node's Pods each, under the same changes.
func (b *bench) watches() error {
	if !wanted(b.loads, "lists") {
		if err := b.seed(0, b.fewPods); err != nil {
			return err
		}
	}
	all := func(int) string { return allPods + "?watch=1" }
	byNode := func(n int) string { return allPods + "?watch=1&fieldSelector=spec.nodeName%3D" + nodeOf(n) }
	if err := b.watch(fmt.Sprintf("%d watchers of all Pods, %d changes/s", b.watchers, b.changes), b.watchers, b.watchers, all); err != nil {
		return err
	}
	return b.watch(fmt.Sprintf("%d watchers by node, %d changes/s", b.byNode, b.changes), b.byNode, 1, byNode)
}

// crowd is many watches that count what they see.
type crowd struct {
	connections []*connection
	open        atomic.Int64
	seen        atomic.Int64
	ended       atomic.Int64
	readers     sync.WaitGroup

	mu   sync.Mutex
	took []time.Duration // guarded by mu until the readers are done
}

// watch opens watchers, makes changes, and waits until each change has been seen by as many as it concerns.
func (b *bench) watch(name string, watchers, each int, path func(n int) string) error {
	c := &crowd{}
	defer c.end()
	version, err := b.version()
	if err != nil {
		return err
	}
	for n := 0; n < watchers; n += streamsPerConnection {
		if err := c.join(b, n, min(watchers, n+streamsPerConnection), func(n int) string { return path(n) + "&resourceVersion=" + version }); err != nil {
			return err
		}
	}
	for began := time.Now(); c.open.Load() < int64(watchers); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			return fmt.Errorf("only %d of %d watches were opened", c.open.Load(), watchers)
		}
	}
	if err := b.memory(name + ": memory with all of them"); err != nil {
		return err
	}
	wait := b.profile(name, b.options.watch)
	defer wait()
	m, err := b.meter()
	if err != nil {
		return err
	}
	changes, err := b.change()
	if err != nil {
		return err
	}
	c.settle(int64(changes * each))
	api, _, _, err := m.spent()
	if err != nil {
		return err
	}
	c.end()
	b.report.note(name+": delivered", figure{100 * float64(c.seen.Load()) / float64(changes*each), "%", true})
	b.report.note(name+": ended early", figure{float64(c.ended.Load()), "watches", false})
	b.report.micros(name+": server CPU per event", api, int(c.seen.Load()))
	b.report.micros(name+": server CPU per change", api, changes)
	b.report.millis(name+": p50", percentile(c.took, 0.5))
	b.report.millis(name+": p99", percentile(c.took, 0.99))
	return nil
}

// version is the resourceVersion of the list of all Pods.
func (b *bench) version() (string, error) {
	c, err := b.dial()
	if err != nil {
		return "", err
	}
	defer c.close()
	var body []byte
	if _, err := c.do(b.call("GET", "", asJSON), allPods+"?limit=1", nil, func(part []byte) { body = append(body, part...) }); err != nil {
		return "", err
	}
	var list struct {
		Metadata struct{ ResourceVersion string }
	}
	err = json.Unmarshal(body, &list)
	return list.Metadata.ResourceVersion, err
}

// join opens a connection with some watches.
func (c *crowd) join(b *bench, from, to int, path func(n int) string) error {
	conn, err := b.dial()
	if err != nil {
		return err
	}
	c.connections = append(c.connections, conn)
	c.readers.Go(func() { c.follow(conn) })
	what := b.call("GET", "", asJSON)
	for n := from; n < to; n++ {
		if _, err := conn.start(what, path(n), nil); err != nil {
			return err
		}
	}
	return nil
}

// marker stands before the moment of a change in the JSON of an event, and nowhere else.
var marker = []byte(`"bench-at":"`)

const stampLength = 19 // of nanoseconds since 1970

// follow counts events and how old they are. An event that is cut by the end of a part is put together.
func (c *crowd) follow(conn *connection) {
	rest := map[uint32][]byte{}
	var took []time.Duration
	for {
		ended, err := conn.read(func(stream uint32, status int, data []byte) {
			if status != 0 {
				if status == 200 {
					c.open.Add(1)
				}
				return
			}
			if before := rest[stream]; len(before) > 0 {
				data = append(before, data...)
			}
			n, tail := count(data, &took)
			c.seen.Add(int64(n))
			rest[stream] = append(rest[stream][:0], tail...)
		})
		if ended {
			c.ended.Add(1)
		}
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.took = append(c.took, took...)
			return
		}
	}
}

// count finds the marks in data, and returns what follows the last whole one as far as a mark could begin in it.
func count(data []byte, took *[]time.Duration) (n int, tail []byte) {
	now := time.Now().UnixNano()
	for {
		at := bytes.Index(data, marker)
		if at < 0 {
			return n, data[max(0, len(data)-len(marker)):]
		}
		if len(data) < at+len(marker)+stampLength {
			return n, data[at:]
		}
		stamp, err := strconv.ParseInt(string(data[at+len(marker):at+len(marker)+stampLength]), 10, 64)
		data = data[at+len(marker)+stampLength:]
		if err == nil {
			n++
			*took = append(*took, time.Duration(now-stamp))
		}
	}
}

// end closes all connections and waits for what was measured.
func (c *crowd) end() {
	for _, conn := range c.connections {
		conn.close()
	}
	c.readers.Wait()
}

// lull is after how long without any event no more are waited for.
const lull = 3 * time.Second

func (c *crowd) settle(want int64) {
	last, since := int64(-1), time.Now()
	for c.seen.Load() < want && time.Since(since) < lull {
		if now := c.seen.Load(); now != last {
			last, since = now, time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}

// changers make the changes together, so that one that waits for its answer does not hold up the rest.
const changers = 8

// change makes changes at an even pace and returns how many.
func (b *bench) change() (int, error) {
	what := b.call("PATCH", "application/merge-patch+json", asJSON)
	total := int(b.options.watch.Seconds() * float64(b.changes))
	began := time.Now()
	errs := make([]error, changers)
	var group sync.WaitGroup
	for i := range changers {
		group.Go(func() {
			c, err := b.dial()
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			for n := i; n < total; n += changers {
				time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(b.changes))))
				body := mergeBody(strconv.FormatInt(time.Now().UnixNano(), 10))
				got, err := c.do(what, podsPath+"/"+seedName(n%b.byNode), body, nil)
				if err != nil || got.status != 200 {
					errs[i] = fmt.Errorf("change: status %d: %w", got.status, err)
					return
				}
			}
		})
	}
	group.Wait()
	return total, errors.Join(errs...)
}

package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// empty measures a server that has just been started for the first time.
func (b *bench) empty() error { return b.memory("memory after the start") }

// launch starts the server and makes the namespace.
func (b *bench) launch() error {
	took, err := b.start()
	if err != nil {
		return err
	}
	if wanted(b.loads, "start") {
		b.report.millis("start with an empty etcd, until /readyz", took)
	}
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.close()
	body := []byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"` + namespace + `"}}`)
	got, err := c.do(b.call("POST", asJSON, asJSON), "/api/v1/namespaces", body, nil)
	if err == nil && got.status != 201 {
		err = fmt.Errorf("namespace: status %d", got.status)
	}
	return err
}

func (b *bench) memory(name string) error {
	mb, err := resident(b.server.api)
	if err != nil {
		return err
	}
	b.report.megabytes(name, mb)
	if b.server.etcd == nil {
		return nil
	}
	if mb, err = resident(b.server.etcd); err == nil {
		b.report.megabytes(name+": etcd", mb)
	}
	return err
}

// operation is one kind of request: the n-th one has this path and body.
type operation struct {
	name string
	call call
	want int
	make func(n int) (path string, body []byte)
}

// writes measures each verb with one client, then with many. Pods that create made are what the others work on.
func (b *bench) writes() error {
	for _, clients := range []int{1, 64} {
		prefix := fmt.Sprintf("c%d-", clients)
		created := 0
		pod := func(n int) string { return fmt.Sprintf("%s%06d", prefix, n%max(1, created)) }
		path := func(n int) string { return podsPath + "/" + pod(n) }
		for _, op := range []operation{
			{"create", b.call("POST", asJSON, asJSON), 201, func(n int) (string, []byte) { return podsPath, podBody(fmt.Sprintf("%s%06d", prefix, n), "", 0) }},
			{"get", b.call("GET", "", asJSON), 200, func(n int) (string, []byte) { return path(n), nil }},
			{"update", b.call("PUT", asJSON, asJSON), 200, func(n int) (string, []byte) { return path(n), podBody(pod(n), "", 1+n/created) }},
			{"merge patch", b.call("PATCH", "application/merge-patch+json", asJSON), 200, func(n int) (string, []byte) { return path(n), mergeBody(fmt.Sprint(n)) }},
			{"apply", b.call("PATCH", "application/apply-patch+yaml", asJSON), 200, func(n int) (string, []byte) {
				return path(n) + "?fieldManager=applier", applyBody(pod(n), n/created)
			}},
			{"delete", b.call("DELETE", asJSON, asJSON), 200, func(n int) (string, []byte) { return path(n), []byte(`{"gracePeriodSeconds":0}`) }},
		} {
			most, limit := 0, b.phase
			if op.name == "delete" {
				most, limit = created, 0 // all of them, so that the lists find none
			}
			n, err := b.drive(fmt.Sprintf("%s, %d clients", op.name, clients), op, clients, most, limit)
			if err != nil {
				return err
			}
			if op.name == "create" {
				created = n
			}
		}
	}
	return b.memory("memory after the writes")
}

// drive lets clients, each with a connection of its own, send requests one after the other for a time, or most of them if
// that is not zero; it returns how many there were.
func (b *bench) drive(name string, op operation, clients, most int, limit time.Duration) (int, error) {
	connections := make([]*connection, clients)
	for i := range connections {
		c, err := b.dial()
		if err != nil {
			return 0, err
		}
		defer c.close()
		connections[i] = c
	}
	profile := b.profile(name, limit)
	defer profile()
	m, err := b.meter()
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	errs := make([]error, clients)
	deadline := time.Now().Add(limit)
	var group sync.WaitGroup
	for i, c := range connections {
		group.Go(func() {
			for limit == 0 || time.Now().Before(deadline) {
				n := int(next.Add(1)) - 1
				if most > 0 && n >= most {
					return
				}
				path, body := op.make(n)
				began := time.Now()
				got, err := c.do(op.call, path, body, nil)
				if err == nil && got.status != op.want {
					err = fmt.Errorf("%s: status %d", path, got.status)
				}
				if err != nil {
					errs[i] = err
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	group.Wait()
	api, etcd, elapsed, err := m.spent()
	if err := errors.Join(append(errs, err)...); err != nil {
		return 0, err
	}
	return b.noteAll(name, took, api, etcd, elapsed), nil
}

// noteAll reports one load of requests.
func (b *bench) noteAll(name string, took [][]time.Duration, api, etcd, elapsed time.Duration) int {
	var all []time.Duration
	for _, some := range took {
		all = append(all, some...)
	}
	b.report.rate(name, float64(len(all))/elapsed.Seconds())
	b.report.millis(name+": p50", percentile(all, 0.5))
	b.report.millis(name+": p99", percentile(all, 0.99))
	b.report.micros(name+": server CPU", api, len(all))
	if b.server.etcd != nil {
		b.report.micros(name+": etcd CPU", etcd, len(all))
	}
	return len(all)
}

package main

import (
	"fmt"
	"time"
)

const (
	asProtobuf = "application/vnd.kubernetes.protobuf"
	asTable    = "application/json;as=Table;v=v1;g=meta.k8s.io"
	allPods    = "/api/v1/pods"
)

// lists measures lists of a few and of many Pods, in all forms, and by selectors.
func (b *bench) lists() error {
	from := 0
	for _, pods := range []int{b.fewPods, b.pods} {
		if err := b.seed(from, pods); err != nil {
			return err
		}
		from = pods
		for _, l := range []struct{ name, accept, path string }{
			{"all, JSON", asJSON, allPods},
			{"all, protobuf", asProtobuf, allPods},
			{"all, Table", asTable, allPods},
			{"by namespace, JSON", asJSON, podsPath},
			{"by label (1 %), JSON", asJSON, allPods + "?labelSelector=share%3Ds07"},
			{"by spec.nodeName, JSON", asJSON, allPods + "?fieldSelector=spec.nodeName%3D" + nodeOf(7)},
			{"limit 500, JSON", asJSON, allPods + "?limit=500"},
		} {
			if err := b.list(fmt.Sprintf("LIST %d Pods, %s", pods, l.name), b.call("GET", "", l.accept), l.path); err != nil {
				return err
			}
		}
		if err := b.memory(fmt.Sprintf("memory after lists of %d Pods", pods)); err != nil {
			return err
		}
	}
	return nil
}

// A list is asked for at least so often, and so long, one after the other; CPU is counted in ticks.
const (
	leastLists = 3
	listTime   = 700 * time.Millisecond
)

func (b *bench) list(name string, what call, path string) error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.close()
	wait := b.profile(name, time.Second)
	defer wait()
	m, err := b.meter()
	if err != nil {
		return err
	}
	var took []time.Duration
	size := 0
	for began := time.Now(); len(took) < leastLists || time.Since(began) < listTime; {
		start := time.Now()
		got, err := c.do(what, path, nil, nil)
		if err != nil {
			return err
		}
		if got.status != 200 {
			return fmt.Errorf("%s: status %d", path, got.status)
		}
		took = append(took, time.Since(start))
		size = got.bytes
	}
	api, _, _, err := m.spent()
	if err != nil {
		return err
	}
	b.report.millis(name+": server CPU", api/time.Duration(len(took)))
	b.report.millis(name+": p50", percentile(took, 0.5))
	b.report.note(name+": size", figure{float64(size) / 1e6, "MB", false})
	return nil
}

package proxy

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/proxy/state"
)

// flag is a fact that one sets and another takes.
type flag struct{ is atomic.Bool }

func (f *flag) set() { f.is.Store(true) }

func (f *flag) take() bool { return f.is.Swap(false) }

// note writes what a pass did into the journal and the metrics.
func (l *loop) note(changes []state.Change, begun time.Time) {
	now := time.Now()
	took := now.Sub(begun)
	l.metrics.passes.Observe(took.Seconds())
	l.metrics.last.Set(float64(now.UnixNano()) / 1e9)
	for _, change := range changes {
		if change.Origin.Kind == "EndpointSlice" {
			l.metrics.endpointChanges.Inc()
		} else {
			l.metrics.serviceChanges.Inc()
		}
		if at := change.Origin.Triggered; !at.IsZero() && l.started {
			l.metrics.latency.Observe(now.Sub(at).Seconds())
		}
		l.config.Journal.Note(journal.Record{
			Time: now, Component: component, Step: "program rules", Kind: "Service", Namespace: change.Name.Namespace, Name: change.Name.Name,
			Saw: change.Origin.Revision, Duration: took, Node: l.settings.node, Note: describe(change.Service),
			Owner: change.Origin.Kind + "/" + change.Name.Namespace + "/" + change.Origin.Object,
		})
	}
}

// describe says in a few words what was programmed.
func describe(service *state.Service) string {
	if service == nil {
		return "removed"
	}
	ready, all := 0, 0
	for i := range service.Ports {
		for _, endpoint := range service.Ports[i].Endpoints {
			all++
			if endpoint.Ready {
				ready++
			}
		}
	}
	return fmt.Sprintf("%d ports, %d of %d endpoints ready", len(service.Ports), ready, all)
}

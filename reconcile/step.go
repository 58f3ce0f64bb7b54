package reconcile

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/septet-io/septet/journal"
)

// Step is one Reconcile as the journal sees it. Controllers reach it through Note only.
type Step struct {
	loop  *loop
	key   Key
	saw   string
	wrote atomic.Bool
}

type stepKey struct{}

func contextWithStep(ctx context.Context, s *Step) context.Context {
	return context.WithValue(ctx, stepKey{}, s)
}

// Note records in the journal something that the running Reconcile did to an object ("create", "delete", "adopt").
// Component, Owner and Saw are filled in with those of the Reconcile where they are empty. Outside of a Runner it does nothing.
func Note(ctx context.Context, record journal.Record) {
	s, ok := ctx.Value(stepKey{}).(*Step)
	if !ok {
		return
	}
	s.wrote.Store(true)
	if s.loop.journal == nil {
		return
	}
	if record.Component == "" {
		record.Component = s.loop.component
	}
	if record.Owner == "" && s.loop.controller.Kind != "" {
		record.Owner = s.loop.controller.Kind + "/" + s.key.Namespace + "/" + s.key.Name
	}
	if record.Saw == "" {
		record.Saw = s.saw
	}
	s.loop.journal.Note(record)
}

// end records the Reconcile itself, if it noted anything or failed: turns that found nothing to do tell nobody anything.
func (s *Step) end(waited, took time.Duration, err error) {
	if s.loop.journal == nil || (err == nil && !s.wrote.Load()) {
		return
	}
	note := s.loop.controller.Name + ", waited " + waited.Round(time.Microsecond).String()
	switch {
	case isWaiting(err):
		note = s.loop.controller.Name + " waits: " + err.Error()
	case err != nil:
		note = s.loop.controller.Name + " failed: " + err.Error()
	}
	s.loop.journal.Note(journal.Record{
		Component: s.loop.component,
		Step:      "reconcile",
		Kind:      s.loop.controller.Kind,
		Namespace: s.key.Namespace,
		Name:      s.key.Name,
		Saw:       s.saw,
		Duration:  took,
		Note:      note,
	})
}

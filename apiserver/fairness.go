package apiserver

import (
	"context"
	"errors"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/flow"
)

// Seats says how many requests run at a time. The zero value is upstream's default.
type Seats struct {
	// Reading and Writing bound the requests in flight; priority and fairness divides their sum. 400 and 200 if both are zero.
	Reading, Writing int
	// Plain refuses what is above the bounds instead of queuing by priority and fairness.
	Plain bool
}

const defaultReading, defaultWriting = 400, 200

// share makes the server's Flow, unless it has one.
func (o *opening) share(s *Server) {
	if s.config.Flow != nil {
		return
	}
	seats := o.Seats
	if seats.Reading == 0 && seats.Writing == 0 {
		seats.Reading, seats.Writing = defaultReading, defaultWriting
	}
	if seats.Plain {
		s.config.Flow = flow.NewInFlight(seats.Reading, seats.Writing)
		return
	}
	wait := s.config.RequestTimeout
	if wait == 0 {
		wait = defaultRequestTimeout
	}
	s.fairness = flow.New(flow.Config{Seats: seats.Reading + seats.Writing, Wait: wait / 4, Resources: &s.Resources})
	s.config.Flow = s.fairness
	Metrics.Unregister(s.fairness) // that of a server before, in tests
	if err := Metrics.Register(s.fairness); err != nil {
		klog.ErrorS(err, "Priority and fairness is not measured")
	}
	for path, handler := range s.fairness.Dumps() {
		s.Handle(path, handler)
	}
}

// shareUntil follows FlowSchemas and priority levels until ctx ends.
func (s *Server) shareUntil(ctx context.Context) {
	if s.fairness == nil {
		return
	}
	ready := make(chan struct{})
	s.Health.Check("poststarthook/priority-and-fairness-config-producer", Boot, func(context.Context) error {
		select {
		case <-ready:
			return nil
		default:
			return errors.New("not finished")
		}
	})
	if err := s.fairness.Run(ctx, s.Loopback, s.Journal, ready); err != nil {
		klog.ErrorS(err, "FlowSchemas and priority levels are not followed")
	}
}

// seatOptions are the flags about how many requests run at a time.
type seatOptions struct {
	reading, writing int
	fair             bool
}

func (o *seatOptions) add(flags *pflag.FlagSet) {
	flags.IntVar(&o.reading, "max-requests-inflight", defaultReading, "requests that read at a time; with --max-mutating-requests-inflight the seats that priority and fairness divides")
	flags.IntVar(&o.writing, "max-mutating-requests-inflight", defaultWriting, "requests that write at a time; with --max-requests-inflight the seats that priority and fairness divides")
	flags.BoolVar(&o.fair, "enable-priority-and-fairness", true, "queue requests by FlowSchemas and priority levels; otherwise what is above the two limits is refused")
}

// read makes the flags' meaning of them.
func (o *seatOptions) read() (Seats, error) {
	switch {
	case o.reading < 0:
		return Seats{}, errors.New("--max-requests-inflight can not be negative value")
	case o.writing < 0:
		return Seats{}, errors.New("--max-mutating-requests-inflight can not be negative value")
	case o.fair && o.reading+o.writing == 0:
		return Seats{}, errors.New("--max-requests-inflight and --max-mutating-requests-inflight: their sum must be positive with --enable-priority-and-fairness")
	}
	return Seats{Reading: o.reading, Writing: o.writing, Plain: !o.fair}, nil
}

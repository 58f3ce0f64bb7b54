package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/extender"
	"github.com/septet-io/septet/scheduler/plugin"
)

// extenders makes the configured extenders; those that can be ignored go last, as they filter less surely.
func (s *scheduler) extenders() ([]decide.Extender, error) {
	var firm, loose []decide.Extender
	for i := range s.component.Extenders {
		e, err := extender.New(s.component.Extenders[i])
		if err != nil {
			return nil, err
		}
		if e.Ignorable() {
			loose = append(loose, e)
		} else {
			firm = append(firm, e)
		}
	}
	return append(firm, loose...), nil
}

// extenderBinder is the extender that binds the pod, nil if none does.
func (s *scheduler) extenderBinder(pod *corev1.Pod) *extender.Extender {
	for _, o := range s.outside {
		if e, ok := o.(*extender.Extender); ok && e.Binds() && e.Interested(pod) {
			return e
		}
	}
	return nil
}

// preemptingExtenders asks all extenders that have a say in preemption, one after the other; nil if there are none.
func (s *scheduler) preemptingExtenders(pod *corev1.Pod) func(context.Context, map[int32]plugin.Victims) (map[int32]plugin.Victims, error) {
	var list []*extender.Extender
	for _, o := range s.outside {
		if e, ok := o.(*extender.Extender); ok && e.Preempts() && e.Interested(pod) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return func(ctx context.Context, victims map[int32]plugin.Victims) (map[int32]plugin.Victims, error) {
		for _, e := range list {
			kept, err := e.Preempt(ctx, pod, s.snapshot, victims)
			if err != nil {
				if e.Ignorable() {
					continue
				}
				return nil, err
			}
			if victims = kept; len(victims) == 0 {
				break
			}
		}
		return victims, nil
	}
}

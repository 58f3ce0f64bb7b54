package scheduler

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugin"
)

// postFilter lets plugins make room for a pod that fits nowhere.
func (s *scheduler) postFilter(ctx context.Context, a *attempt, f *decide.Failure) {}

func (s *scheduler) evict(ctx context.Context, preemptor *corev1.Pod, node, profile string, victims plugin.Victims) {
}
func (s *scheduler) extenders() ([]decide.Extender, error) { return nil, nil }

type binder interface {
	Bind(ctx context.Context, pod *corev1.Pod, node string) error
}

func (s *scheduler) extenderBinder(pod *corev1.Pod) binder { return nil }

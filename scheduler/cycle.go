package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/queue"
)

// attempt is one pod on its way from the queue to its node.
type attempt struct {
	entry   *queue.Entry
	profile *profile.Profile
	cycle   *plugin.Cycle
	began   time.Time
	node    string
	// expected says that the node is written to the pod's status before it is bound.
	expected bool
}

// schedule decides one pod, and sends it on its way.
func (s *scheduler) schedule(ctx context.Context, e *queue.Entry) {
	pod := e.Pod.Object
	if pod.DeletionTimestamp != nil {
		s.snapshot.Denominate(e.Pod)
		s.queue.Done(e)
		return
	}
	e.Pod.Shape = s.snapshot.Intern(pod)
	a := &attempt{entry: e, profile: s.profiles[e.Profile], began: s.now()}
	a.cycle = &plugin.Cycle{Pod: e.Pod, Snapshot: s.snapshot, Profile: e.Profile}
	moment := s.snapshot.Moment()
	result := s.decider.Decide(ctx, &decide.Request{Profile: a.profile, Cycle: a.cycle, Extenders: s.outside, Timed: s.sample()})
	s.metrics.decided(a.profile, &result)
	if result.Failure != nil {
		s.postFilter(ctx, a, result.Failure)
	}
	s.why.note(a, &result, moment, s)
	switch {
	case result.Err != nil:
		s.failed(ctx, a, result.Err)
	case result.Failure != nil:
		s.refused(ctx, a, result.Failure)
	default:
		s.assume(ctx, a, result.Row)
	}
}

// sample picks one attempt in ten to be timed in detail, as upstream does.
func (s *scheduler) sample() bool {
	s.attempts++
	return s.attempts%10 == 1
}

// assume places the pod in the Snapshot as if it were bound already, and starts the binding.
func (s *scheduler) assume(ctx context.Context, a *attempt, row int32) {
	pod := a.entry.Pod
	a.node = s.snapshot.Node[row].Name
	s.snapshot.Denominate(pod)
	for i, p := range a.profile.Reserve {
		if status := p.Reserve(a.cycle, row); !status.OK() {
			status.Plugin = p.Name()
			for ; i >= 0; i-- {
				a.profile.Reserve[i].Unreserve(a.cycle, row)
			}
			s.rejected(ctx, a, status)
			return
		}
	}
	bound := *pod // the binding reads its own copy: the Snapshot's may change under it
	pod.Assumed = true
	s.snapshot.PlaceOn(pod, row)
	a.cycle.Pod = &bound
	wait, status := s.permit(ctx, a)
	if !status.OK() {
		s.forget(a)
		s.rejected(ctx, a, status)
		return
	}
	a.expected = a.expects(wait)
	s.metrics.binding.Inc()
	s.binders.do(func() {
		status := s.bind(ctx, a, wait)
		s.metrics.binding.Dec()
		s.box.post(letter{kind: doKind, do: func() { s.bound(ctx, a, status) }})
	})
}

// forget takes an assumed pod back.
func (s *scheduler) forget(a *attempt) {
	pod := a.entry.Pod
	row := pod.Row
	if placed, ok := s.snapshot.Lookup(pod.Object); !ok || placed != pod || !pod.Assumed {
		row = -1 // somebody else has bound or deleted it meanwhile
	}
	if row >= 0 {
		pod.Assumed = false
		s.snapshot.Displace(pod)
	} else if r, ok := s.snapshot.Row(a.node); ok {
		row = r
	}
	for i := len(a.profile.Reserve) - 1; i >= 0 && row >= 0; i-- {
		a.profile.Reserve[i].Unreserve(a.cycle, row)
	}
}

// bound takes over how a binding went.
func (s *scheduler) bound(ctx context.Context, a *attempt, status *plugin.Status) {
	if status.OK() {
		now := s.now()
		m := s.metrics.profile(a.profile)
		m.scheduled.Inc()
		m.scheduledTime.Observe(now.Sub(a.began).Seconds())
		s.metrics.podAttempts.Observe(float64(a.entry.Attempts))
		s.metrics.sli.WithLabelValues(attemptsLabel(a.entry.Attempts)).Observe(now.Sub(a.entry.First).Seconds())
		s.queue.Done(a.entry)
		return
	}
	s.forget(a)
	if s.refresh(a.entry) {
		s.rejected(ctx, a, status)
	}
	s.happened(plugin.AssignedPod, plugin.Delete, "AssignedPodDelete", a.entry.Pod.Object, nil) // its room is free again
}

// refresh brings a pod that was on its way to its present state: meanwhile its changes were left alone. It is false if the pod is not to be
// placed any more: it is gone, or somebody has bound it; perhaps this very binding did, whose answer was lost.
func (s *scheduler) refresh(e *queue.Entry) bool {
	pod := s.podNamed(types.NamespacedName{Namespace: e.Pod.Object.Namespace, Name: e.Pod.Object.Name})
	if pod == nil || pod.UID != e.Pod.Object.UID || pod.Spec.NodeName != "" {
		s.snapshot.Denominate(e.Pod)
		s.queue.Done(e)
		return false
	}
	e.Pod.Object = pod
	return true
}

func attemptsLabel(n int) string {
	if n >= 16 {
		return "16+"
	}
	return fmt.Sprint(n)
}

// rejected handles a pod that was stopped after it had a node. Whatever was promised to it is not, any more.
func (s *scheduler) rejected(ctx context.Context, a *attempt, status *plugin.Status) {
	s.unpromise(a.entry)
	if !status.Code.Rejected() {
		s.failed(ctx, a, status.AsError())
		return
	}
	f := &decide.Failure{Nodes: s.snapshot.Nodes(), Reasons: map[string]int{}, Plugins: []string{status.Plugin}}
	for _, reason := range status.Reasons {
		f.Reasons[reason] = 1
	}
	if status.Code == plugin.Pending {
		f.Plugins, f.Pending = nil, f.Plugins
	}
	s.refused(ctx, a, f)
}

func (s *scheduler) unpromise(e *queue.Entry) {
	s.snapshot.Denominate(e.Pod)
	s.queue.Promise(e, "")
}

// refused puts a pod back that fits nowhere, and says so.
func (s *scheduler) refused(ctx context.Context, a *attempt, f *decide.Failure) {
	m := s.metrics.profile(a.profile)
	m.unschedulable.Inc()
	m.unschedulableTime.Observe(s.now().Sub(a.began).Seconds())
	a.entry.Why = f.Message()
	plugins := f.Plugins
	if f.Extenders {
		plugins = nil // any event may help
	}
	s.queue.Refuse(a.entry, plugins, f.Pending, s.now())
	pod := a.entry.Pod.Object
	s.Journal.Note(journal.Record{
		Component: component, Step: "decide", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Saw: pod.ResourceVersion,
		Duration: s.now().Sub(a.began), Note: a.entry.Why,
	})
	s.report(ctx, a, corev1.PodReasonUnschedulable, a.entry.Why)
}

// failed puts a pod back after an unexpected error.
func (s *scheduler) failed(ctx context.Context, a *attempt, err error) {
	if ctx.Err() != nil {
		return // the term is over
	}
	s.unpromise(a.entry)
	if errors.Is(err, decide.ErrNoNodes) {
		m := s.metrics.profile(a.profile)
		m.unschedulable.Inc()
		a.entry.Why = err.Error()
		s.queue.Refuse(a.entry, []string{"NodeName"}, nil, s.now()) // a new node is all that can help
		s.report(ctx, a, corev1.PodReasonUnschedulable, err.Error())
		return
	}
	m := s.metrics.profile(a.profile)
	m.failed.Inc()
	m.failedTime.Observe(s.now().Sub(a.began).Seconds())
	a.entry.Why = err.Error()
	klog.FromContext(ctx).V(2).Info("Could not schedule a pod, will try again", "pod", klog.KObj(a.entry.Pod.Object), "err", err)
	s.queue.Fail(a.entry, s.now())
	s.report(ctx, a, corev1.PodReasonSchedulerError, err.Error())
}

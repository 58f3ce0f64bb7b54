package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/scheduler/plugin"
)

// waitingPod is a pod that a Permit plugin makes wait.
type waitingPod struct {
	decided chan *plugin.Status // buffered; the first answer counts
	pending map[string]bool     // plugins that have not allowed it yet
	timeout time.Duration
	slowest string // the plugin that set the timeout
}

// permit asks the Permit plugins. A waitingPod comes back if the pod has to wait.
func (s *scheduler) permit(ctx context.Context, a *attempt) (*waitingPod, *plugin.Status) {
	var w *waitingPod
	for _, p := range a.profile.Permit {
		status, timeout := p.Permit(ctx, a.cycle, a.node)
		switch {
		case status.OK():
		case status.Code == plugin.Wait:
			if w == nil {
				w = &waitingPod{decided: make(chan *plugin.Status, 1), pending: map[string]bool{}}
			}
			w.pending[p.Name()] = true
			if w.timeout == 0 || timeout < w.timeout {
				w.timeout, w.slowest = timeout, p.Name()
			}
		default:
			status.Plugin = p.Name()
			return nil, status
		}
	}
	if w != nil {
		s.waiting[a.entry.Pod.Object.UID] = w
	}
	return w, nil
}

// allow lets a waiting pod go on as far as one plugin is concerned.
func (w *waitingPod) allow(name string) {
	delete(w.pending, name)
	if len(w.pending) == 0 {
		w.decide(nil)
	}
}

func (w *waitingPod) decide(status *plugin.Status) {
	select {
	case w.decided <- status:
	default:
	}
}

// answer carries a Permit plugin's late decision to a waiting pod.
func (s *scheduler) answer(uid types.UID, name string, status *plugin.Status) {
	s.box.post(letter{kind: doKind, do: func() {
		w := s.waiting[uid]
		switch {
		case w == nil:
		case status.OK():
			w.allow(name)
		default:
			status.Plugin = name
			w.decide(status)
		}
	}})
}

// cancelWaiting ends the wait of a pod that is going away.
func (s *scheduler) cancelWaiting(uid types.UID) {
	if w := s.waiting[uid]; w != nil {
		w.decide(plugin.Reject(plugin.Unschedulable, "removed"))
		delete(s.waiting, uid)
	}
}

func (s *scheduler) cancelAll() {
	for uid := range s.waiting {
		s.cancelWaiting(uid)
	}
}

// bind does all that is between a decision and a bound pod. It runs beside other decisions, so it must not touch the Snapshot or the queue.
func (s *scheduler) bind(ctx context.Context, a *attempt, w *waitingPod) *plugin.Status {
	if a.expected {
		s.expect(ctx, a)
	}
	if w != nil {
		if status := s.await(ctx, a, w); !status.OK() {
			return status
		}
	}
	preBinding := time.Now()
	for _, p := range a.profile.PreBind {
		if status := p.PreBind(ctx, a.cycle, a.node); !status.OK() {
			status.Plugin = p.Name()
			if status.Code.Rejected() {
				return status
			}
			return plugin.Failed(fmt.Errorf("running PreBind plugin %q: %w", p.Name(), status.AsError()))
		}
	}
	pod := a.cycle.Pod.Object
	began := time.Now()
	s.metrics.took("PreBind", a.profile.Name, true, began.Sub(preBinding))
	status := s.bindBy(ctx, a)
	s.metrics.took("Bind", a.profile.Name, status.OK(), time.Since(began))
	if !status.OK() {
		return status
	}
	s.recorder.record(ctx, pod, a.profile.Name, corev1.EventTypeNormal, "Scheduled", "Binding",
		"Successfully assigned "+pod.Namespace+"/"+pod.Name+" to "+a.node)
	s.Journal.Note(journal.Record{
		Component: "kube-scheduler", Step: "bind", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Saw: pod.ResourceVersion,
		Duration: time.Since(began), Note: "to " + a.node, Node: a.node,
	})
	for _, p := range a.profile.PostBind {
		p.PostBind(ctx, a.cycle, a.node)
	}
	return nil
}

// expects says whether the binding may take a while: a Permit plugin makes it wait, or a PreBind plugin has something to do.
func (a *attempt) expects(w *waitingPod) bool {
	return w != nil || slices.ContainsFunc(a.profile.PreBind, func(p plugin.PreBind) bool {
		f, ok := p.(plugin.PreFlight)
		return !ok || f.WillPreBind(a.cycle)
	})
}

// expect tells others, such as autoscalers, where the pod is about to be bound (KEP-5278). The API server clears it with the binding.
func (s *scheduler) expect(ctx context.Context, a *attempt) {
	pod := a.cycle.Pod.Object
	if pod.Status.NominatedNodeName != a.node {
		s.patchStatus(ctx, pod, fmt.Appendf(nil, `{"metadata":{"uid":%q},"status":{"nominatedNodeName":%q}}`, pod.UID, a.node))
	}
}

func (s *scheduler) bindBy(ctx context.Context, a *attempt) *plugin.Status {
	if b := s.extenderBinder(a.cycle.Pod.Object); b != nil {
		if err := b.Bind(ctx, a.cycle.Pod.Object, a.node); err != nil {
			return plugin.Failed(fmt.Errorf("running Bind by extender: %w", err))
		}
		return nil
	}
	for _, p := range a.profile.Bind {
		status := p.Bind(ctx, a.cycle, a.node)
		if status.Is(plugin.Skip) {
			continue
		}
		if !status.OK() {
			status.Plugin = p.Name()
			if status.Code.Rejected() {
				return status
			}
			return plugin.Failed(fmt.Errorf("running Bind plugin %q: %w", p.Name(), status.AsError()))
		}
		return nil
	}
	return plugin.Failed(fmt.Errorf("no Bind plugin took the pod"))
}

// await waits for a pod's permission.
func (s *scheduler) await(ctx context.Context, a *attempt, w *waitingPod) *plugin.Status {
	began := time.Now()
	timer := time.NewTimer(w.timeout)
	defer timer.Stop()
	var status *plugin.Status
	select {
	case status = <-w.decided:
	case <-timer.C:
		status = plugin.Reject(plugin.Unschedulable, fmt.Sprintf("rejected due to timeout after waiting %v at plugin %s", w.timeout, w.slowest))
		status.Plugin = w.slowest
	case <-ctx.Done():
		return plugin.Failed(ctx.Err())
	}
	result := "allowed"
	if !status.OK() {
		result = status.Code.String()
	}
	s.metrics.permitWait.WithLabelValues(result).Observe(time.Since(began).Seconds())
	uid := a.cycle.Pod.Object.UID
	s.box.post(letter{kind: doKind, do: func() { delete(s.waiting, uid) }})
	return status
}

// report writes why a pod is not scheduled: an event, and its PodScheduled condition and nominated node where they change.
func (s *scheduler) report(ctx context.Context, a *attempt, reason, message string) {
	pod := a.entry.Pod.Object
	if _, ok := s.queue.Lookup(pod.UID); !ok {
		return // deleted meanwhile
	}
	s.recorder.record(ctx, pod, a.profile.Name, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", message)
	nominated := ""
	if row, ok := a.entry.Pod.NominatedRow(); ok {
		nominated = s.snapshot.NameOf(row)
	}
	patch := statusPatch(pod, reason, message, nominated, a.expected, s.now())
	if patch == nil {
		return
	}
	s.writers.do(func() { s.patchStatus(ctx, pod, patch) })
}

// statusPatch returns the patch that brings the pod's status to what is said, nil if it is there already. expected says that a nominated
// node was written that pod may not show yet.
func statusPatch(pod *corev1.Pod, reason, message, nominated string, expected bool, now time.Time) []byte {
	condition := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message,
		LastTransitionTime: metav1.NewTime(now), ObservedGeneration: pod.Generation,
	}
	same := false
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.PodScheduled {
			continue
		}
		if c.Status == condition.Status {
			condition.LastTransitionTime = c.LastTransitionTime
			same = c.Reason == reason && c.Message == message
		}
	}
	if same && !expected && pod.Status.NominatedNodeName == nominated {
		return nil
	}
	status := map[string]any{"conditions": []corev1.PodCondition{condition}}
	if expected || nominated != pod.Status.NominatedNodeName {
		status["nominatedNodeName"] = nominated
		if nominated == "" {
			status["nominatedNodeName"] = nil
		}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return nil // strings and times always marshal
	}
	return patch
}

package scheduler

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/scheduler/decide"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins/defaultpreemption"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// postFilter lets plugins make room for a pod that fits nowhere; the first that does ends it.
func (s *scheduler) postFilter(ctx context.Context, a *attempt, f *decide.Failure) {
	if len(a.profile.PostFilter) == 0 {
		s.unpromise(a.entry)
		return
	}
	ask := &plugin.Failure{
		Nodes: f.Nodes, Helpful: f.Helpful, ByRow: f.ByRow(), Restore: f.Restore,
		Fits:      func(row int32) ([]string, bool) { return f.Fits(a.cycle, row) },
		Extenders: s.preemptingExtenders(a.entry.Pod.Object),
	}
	var messages string
	for _, p := range a.profile.PostFilter {
		if p.Name() == defaultpreemption.Name {
			s.metrics.preemptions.Inc() // attempts, whether anything comes of them or not
		}
		row, status := p.PostFilter(ctx, a.cycle, ask)
		if status.OK() {
			node := s.snapshot.NameOf(row)
			s.snapshot.Nominate(a.entry.Pod, row)
			s.queue.Promise(a.entry, node)
			f.PostFilter = ""
			return
		}
		if status.Code == plugin.Error {
			klog.FromContext(ctx).V(2).Info("Could not make room for a pod", "pod", klog.KObj(a.entry.Pod.Object), "plugin", p.Name(), "err", status.AsError())
		}
		if message := status.Message(); message != "" {
			if messages != "" {
				messages += ", "
			}
			messages += message
		}
		if status.Code == plugin.Unschedulable { // it will not get its promised node that way either
			s.unpromise(a.entry)
		}
	}
	f.PostFilter = messages
}

// evict removes the victims, beside other decisions, and takes the node's promises to less important pods back: they have to look elsewhere.
func (s *scheduler) evict(ctx context.Context, preemptor *corev1.Pod, node, profile string, victims plugin.Victims, done func(failed bool)) {
	s.metrics.victims.Observe(float64(len(victims.Pods)))
	if row, ok := s.snapshot.Row(node); ok {
		for _, p := range append([]*snapshot.Pod(nil), s.snapshot.Nominated[row]...) {
			if p.Shape.Priority < snapshot.PriorityOf(preemptor) {
				s.breakPromise(ctx, p)
			}
		}
	}
	var left atomic.Int32
	left.Store(int32(len(victims.Pods)))
	var failed atomic.Bool
	told := func(ok bool) {
		if !ok {
			failed.Store(true)
		}
		if left.Add(-1) > 0 {
			return
		}
		s.box.post(letter{kind: doKind, do: func() {
			done(failed.Load())
			s.queue.Activate(preemptor.UID, "PreemptionFinished", s.now())
		}})
	}
	for _, v := range victims.Pods {
		victim := v.Object
		if w := s.waiting[victim.UID]; w != nil {
			w.decide(plugin.Reject(plugin.Unschedulable, "preempted"))
			told(true)
			continue
		}
		s.writers.do(func() {
			ok := s.evictOne(ctx, preemptor, victim, node, profile)
			if !ok || !leavesAtOnce(victim) {
				told(ok)
				return
			}
			s.box.post(letter{kind: doKind, do: func() {
				if _, here := s.snapshot.Lookup(victim); !here {
					told(true)
					return
				}
				s.leaving[victim.UID] = append(s.leaving[victim.UID], func() { told(true) })
			}})
		})
	}
}

// leavesAtOnce says whether a pod is gone once it is deleted, which is heard of in a moment. Its preemptor is not tried before: it would
// fail, and then back off.
func leavesAtOnce(pod *corev1.Pod) bool {
	return pod.Spec.TerminationGracePeriodSeconds != nil && *pod.Spec.TerminationGracePeriodSeconds == 0 && len(pod.Finalizers) == 0
}

// left tells those who wait for it that a pod is gone, or will stay for a while in spite of leavesAtOnce.
func (s *scheduler) left(uid types.UID) {
	waiting := s.leaving[uid]
	delete(s.leaving, uid)
	for _, tell := range waiting {
		tell()
	}
}

func (s *scheduler) breakPromise(ctx context.Context, p *snapshot.Pod) {
	pod := p.Object
	s.snapshot.Denominate(p)
	if e, ok := s.queue.Lookup(pod.UID); ok {
		s.queue.Promise(e, "")
		s.queue.Activate(pod.UID, "PreemptionNominationLost", s.now())
	}
	if pod.Status.NominatedNodeName == "" {
		return
	}
	patch := fmt.Appendf(nil, `{"metadata":{"uid":%q},"status":{"nominatedNodeName":null}}`, pod.UID)
	s.writers.do(func() { s.patchStatus(ctx, pod, patch) })
}

// evictOne tells one pod to leave; false if it could not be told.
func (s *scheduler) evictOne(ctx context.Context, preemptor, victim *corev1.Pod, node, profile string) bool {
	condition := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
		Message:            profile + ": preempting to accommodate a higher priority pod",
		LastTransitionTime: metav1.NewTime(time.Now()), ObservedGeneration: victim.Generation,
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": victim.UID}, "status": map[string]any{"conditions": []corev1.PodCondition{condition}}})
	if err == nil && !preemptedAlready(victim) {
		s.patchStatus(ctx, victim, patch)
	}
	err = s.Client.CoreV1().Pods(victim.Namespace).Delete(ctx, victim.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(victim.UID))})
	if err != nil {
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return true // it is gone already, or another one has its name
		}
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Could not evict a pod", "pod", klog.KObj(victim), "preemptor", klog.KObj(preemptor))
		}
		return false
	}
	s.recorder.record(ctx, victim, profile, corev1.EventTypeNormal, "Preempted", "Preempting", fmt.Sprintf("Preempted by pod %v on node %v", preemptor.UID, node))
	s.Journal.Note(journal.Record{
		Component: component, Step: "preempt", Kind: "Pod", Namespace: victim.Namespace, Name: victim.Name, UID: victim.UID, Node: node,
		Note: "for pod " + preemptor.Namespace + "/" + preemptor.Name, Owner: "Pod/" + preemptor.Namespace + "/" + preemptor.Name,
	})
	return true
}

func preemptedAlready(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func (s *scheduler) patchStatus(ctx context.Context, pod *corev1.Pod, patch []byte) {
	_, err := s.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && ctx.Err() == nil && !gone(err) {
		klog.FromContext(ctx).V(2).Info("Could not update a pod's status", "pod", klog.KObj(pod), "err", err)
	}
}

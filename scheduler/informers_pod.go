package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/queue"
)

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// applyPod brings the Snapshot and the queue to a pod's new state, whatever the way there was.
func (s *scheduler) applyPod(old, obj *corev1.Pod) {
	switch {
	case obj == nil:
		s.forgetPod(old)
	case finished(obj):
		s.forgetPod(obj)
	case obj.Spec.NodeName != "":
		s.placedPod(old, obj)
	default:
		s.waitingPod(old, obj)
	}
	switch {
	case len(s.leaving) == 0:
	case obj == nil:
		s.left(old.UID)
	case finished(obj) || obj.DeletionTimestamp != nil:
		s.left(obj.UID)
	}
}

// forgetPod handles a pod that has left, or has come to its end.
func (s *scheduler) forgetPod(pod *corev1.Pod) {
	if e, ok := s.queue.Lookup(pod.UID); ok {
		s.snapshot.Denominate(e.Pod)
		s.queue.Remove(pod.UID)
		s.cancelWaiting(pod.UID)
	}
	placed, ok := s.snapshot.Lookup(pod)
	if !ok {
		return
	}
	s.snapshot.Displace(placed)
	s.happened(plugin.AssignedPod, plugin.Delete, "AssignedPodDelete", placed.Object, nil)
}

// placedPod handles a pod that the API server says is on a node.
func (s *scheduler) placedPod(old, obj *corev1.Pod) {
	if e, ok := s.queue.Lookup(obj.UID); ok {
		s.snapshot.Denominate(e.Pod)
		if e.Place() != queue.Nowhere {
			s.queue.Remove(obj.UID)
		}
	}
	placed, ok := s.snapshot.Lookup(obj)
	if ok && s.snapshot.NameOf(placed.Row) != obj.Spec.NodeName { // assumed elsewhere: somebody else has bound it
		s.snapshot.Displace(placed)
		ok = false
	}
	if !ok {
		s.snapshot.Place(s.snapshot.NewPod(obj), obj.Spec.NodeName)
		s.happened(plugin.AssignedPod, plugin.Add, "AssignedPodAdd", nil, obj)
		return
	}
	confirmed := placed.Assumed
	before := placed.Object
	lighter := s.snapshot.Update(placed, obj)
	if confirmed {
		s.happened(plugin.AssignedPod, plugin.Add, "AssignedPodAdd", nil, obj)
	}
	var action plugin.Action
	if lighter {
		action |= plugin.UpdatePodScaleDown
	}
	if !confirmed && !labels.Equals(before.Labels, obj.Labels) {
		action |= plugin.UpdatePodLabel
	}
	if action != 0 {
		s.happened(plugin.AssignedPod, action, "AssignedPodUpdate", before, obj)
	}
}

// waitingPod handles a pod without a node.
func (s *scheduler) waitingPod(old, obj *corev1.Pod) {
	if _, ok := s.profiles[obj.Spec.SchedulerName]; !ok {
		return
	}
	if placed, ok := s.snapshot.Lookup(obj); ok && placed.Assumed { // a change on the way to its binding
		return // its confirmation will bring it
	}
	e, ok := s.queue.Lookup(obj.UID)
	if !ok {
		if obj.DeletionTimestamp != nil {
			return
		}
		e = s.queue.Add(s.snapshot.NewPod(obj), s.now())
		s.nominate(e, obj.Status.NominatedNodeName)
		return
	}
	before := e.Pod.Object
	event := &plugin.Event{Resource: plugin.UnscheduledPod, Action: podAction(before, obj), Label: "UnscheduledPodUpdate", Old: before, New: obj}
	s.queue.Update(e, obj, event, s.now())
	if before.Status.NominatedNodeName != obj.Status.NominatedNodeName {
		s.nominate(e, obj.Status.NominatedNodeName)
	}
}

// nominate follows the node that is promised to a waiting pod by its status.
func (s *scheduler) nominate(e *queue.Entry, node string) {
	if row, ok := s.snapshot.Row(node); ok && node != "" {
		e.Pod.Shape = s.snapshot.Intern(e.Pod.Object)
		s.snapshot.Nominate(e.Pod, row)
		s.queue.Promise(e, node)
	} else {
		s.snapshot.Denominate(e.Pod)
		s.queue.Promise(e, "")
	}
}

// podAction names what changed in a waiting pod.
func podAction(old, obj *corev1.Pod) (action plugin.Action) {
	if !labels.Equals(old.Labels, obj.Labels) {
		action |= plugin.UpdatePodLabel
	}
	if len(old.Spec.Tolerations) != len(obj.Spec.Tolerations) {
		action |= plugin.UpdatePodTolerations
	}
	if len(old.Spec.SchedulingGates) != len(obj.Spec.SchedulingGates) {
		action |= plugin.UpdatePodGates
	}
	if !equality.Semantic.DeepEqual(old.Status.ResourceClaimStatuses, obj.Status.ResourceClaimStatuses) {
		action |= plugin.UpdatePodClaims
	}
	for i := range old.Spec.Containers {
		if i < len(obj.Spec.Containers) && !equality.Semantic.DeepEqual(old.Spec.Containers[i].Resources, obj.Spec.Containers[i].Resources) {
			action |= plugin.UpdatePodScaleDown
		}
	}
	if !equality.Semantic.DeepEqual(old.Spec.NodeSelector, obj.Spec.NodeSelector) || !equality.Semantic.DeepEqual(old.Spec.Affinity, obj.Spec.Affinity) {
		action |= plugin.UpdateOther | plugin.UpdatePodLabel
	}
	return action
}

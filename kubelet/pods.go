package kubelet

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet/admit"
	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/pod"
	"github.com/septet-io/septet/kubelet/source"
	"github.com/septet-io/septet/kubelet/spec"
)

// Upsert implements source.Sink.
func (k *Kubelet) Upsert(from string, object *v1.Pod) {
	k.upsert(from, object)
	if from == source.API && !spec.Mirror(object) {
		// Without the lock: the writer asks for targets under its own.
		k.writer.Observe(k.ctx, object.UID, object)
	}
}

func (k *Kubelet) upsert(from string, object *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if from == source.API && spec.Mirror(object) {
		k.mirrors[fullName(object)] = object
		k.lookAtMirror(fullName(object))
		return
	}
	e := k.pods[object.UID]
	switch {
	case e == nil:
		if from != source.API && k.nameTaken(object) {
			k.next[fullName(object)] = object
			return
		}
		k.add(from, object)
	case e.removed && from != source.API:
		// The same manifest is back before its pod was gone.
		k.next[fullName(object)] = object
	default:
		k.update(e, object)
	}
}

// nameTaken says whether another static pod of that name is still being stopped.
func (k *Kubelet) nameTaken(object *v1.Pod) bool {
	for uid, e := range k.pods {
		if uid != object.UID && e.source != source.API && fullName(e.pod) == fullName(object) {
			return true
		}
	}
	return false
}

// add takes a pod in: it is admitted, or fails. The lock is held.
func (k *Kubelet) add(from string, object *v1.Pod) {
	found := k.found[object.UID]
	delete(k.found, object.UID)
	e := &entry{source: from, pod: object, given: object}
	k.pods[object.UID] = e
	over := object.DeletionTimestamp != nil || object.Status.Phase == v1.PodFailed || object.Status.Phase == v1.PodSucceeded
	var end *pod.End
	switch given := k.book.Get(object.UID); {
	case given != nil:
		// Admitted by an earlier kubelet; what it gave still holds.
		e.given = pod.Allocated(object, given.Containers, given.Pod)
	case over || found != nil:
	default:
		if rejection := k.admit(object); rejection != nil {
			e.rejected = true
			end = &pod.End{Phase: v1.PodFailed, Reason: rejection.Reason, Message: "Pod was rejected: " + rejection.Message, Bare: true}
			k.events.Event(cri.Reference(object, ""), v1.EventTypeWarning, rejection.Reason, rejection.Message)
		}
	}
	k.noteAdmission(object, end)
	if end == nil && !over {
		if err := k.book.Enter(object); err != nil {
			klog.FromContext(k.ctx).Error(err, "Could not write down what a pod was given", "pod", klog.KObj(object))
		}
	}
	k.resize(e)
	e.worker = pod.Start(k.ctx, k.host, e.given, found, end)
	if from != source.API {
		k.lookAtMirror(fullName(object))
	}
}

// noteAdmission writes down what the node said to a pod.
func (k *Kubelet) noteAdmission(object *v1.Pod, end *pod.End) {
	note := "accepted"
	if end != nil {
		note = end.Reason
	}
	k.config.Journal.Note(journal.Record{
		Component: "kubelet", Step: "admit", Kind: "Pod", Namespace: object.Namespace, Name: object.Name, UID: object.UID,
		Saw: object.ResourceVersion, Note: note, Node: k.config.NodeName,
	})
}

// update brings a pod's changes to its worker. The lock is held.
func (k *Kubelet) update(e *entry, object *v1.Pod) {
	e.pod, e.removed = object, false
	k.resize(e)
	e.worker.Update(e.given, e.pending)
}

// resize gives a pod other resources if it asks for them and there is enough. The
// lock is held.
func (k *Kubelet) resize(e *entry) {
	given := k.book.Get(e.pod.UID)
	if given == nil {
		e.given = e.pod
		return
	}
	pending, err := k.book.Resize(e.pod, k.othersLocked(e.pod.UID), k.node.Allocatable())
	if err != nil {
		klog.FromContext(k.ctx).Error(err, "Could not write down what a pod was given", "pod", klog.KObj(e.pod))
	}
	if pending != nil && (e.pending == nil || *e.pending != *pending) {
		k.events.Event(cri.Reference(e.pod, ""), v1.EventTypeWarning, "Resize"+pending.Reason, pending.Message)
	}
	e.pending = pending
	given = k.book.Get(e.pod.UID)
	e.given = pod.Allocated(e.pod, given.Containers, given.Pod)
}

// admit says why a pod may not run here, nil if it may. The lock is held.
func (k *Kubelet) admit(object *v1.Pod) *admit.Rejection {
	return admit.Check(object, &admit.Snapshot{
		Node: k.nodeOrInitial(), Allocatable: k.node.Allocatable(), Others: k.othersLocked(object.UID),
		Under: k.pressures(), UnsafeSysctls: k.config.Configuration.AllowedUnsafeSysctls,
	})
}

// othersLocked are the pods that take something of the node, without one.
func (k *Kubelet) othersLocked(but types.UID) []*v1.Pod {
	out := make([]*v1.Pod, 0, len(k.pods))
	for uid, e := range k.pods {
		phase := e.pod.Status.Phase
		if uid == but || e.rejected || phase == v1.PodFailed || phase == v1.PodSucceeded || e.worker == nil || e.worker.View().Stopped {
			continue
		}
		out = append(out, e.given)
	}
	return out
}

// nodeOrInitial is the Node as seen, or as this kubelet would make it.
func (k *Kubelet) nodeOrInitial() *v1.Node {
	if n := k.node.Get(); n != nil {
		return n
	}
	return &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.config.NodeName, Labels: k.config.Labels}}
}

// Delete implements source.Sink.
func (k *Kubelet) Delete(from string, object *v1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if from == source.API && spec.Mirror(object) {
		delete(k.mirrors, fullName(object))
		k.lookAtMirror(fullName(object))
		return
	}
	if from != source.API {
		if waiting := k.next[fullName(object)]; waiting != nil && waiting.UID == object.UID {
			delete(k.next, fullName(object))
		}
	}
	if e := k.pods[object.UID]; e != nil {
		e.removed = true
		e.worker.Remove()
	}
	if from != source.API {
		k.lookAtMirror(fullName(object))
	}
}

// gone is told that nothing of a pod is left on the node.
func (k *Kubelet) gone(uid types.UID) {
	k.writer.Forget(uid)
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.pods[uid]
	if e == nil {
		return
	}
	delete(k.pods, uid)
	if err := k.book.Forget(uid); err != nil {
		klog.FromContext(k.ctx).Error(err, "Could not write down that a pod is gone", "uid", uid)
	}
	if waiting := k.next[fullName(e.pod)]; waiting != nil {
		delete(k.next, fullName(e.pod))
		k.add(waiting.Annotations[spec.AnnotationConfigSource], waiting)
	}
	// What it had, another that waits for more may get.
	for _, other := range k.pods {
		if other.pending != nil && other.pending.Reason == v1.PodReasonDeferred {
			k.update(other, other.pod)
		}
	}
}

// Synced implements source.Sink.
func (k *Kubelet) Synced(from string) {
	k.mu.Lock()
	k.synced[from] = true
	all := len(k.synced) == k.sources
	names := map[string]bool{}
	for name := range k.mirrors {
		names[name] = true
	}
	for _, e := range k.pods {
		if e.source != source.API {
			names[fullName(e.pod)] = true
		}
	}
	for name := range names {
		k.lookAtMirror(name)
	}
	k.mu.Unlock()
	if all {
		k.removeOrphans(k.ctx)
	}
}

// Bad implements source.Sink: what is wrong with a manifest is told in the log and
// as an event of the node.
func (k *Kubelet) Bad(from, where string, err error) {
	klog.FromContext(k.ctx).Error(err, "Not a usable pod manifest", "source", from, "where", where)
	k.events.Event(k.node.Reference(), v1.EventTypeWarning, "FailedValidation", fmt.Sprintf("Error validating pod manifest %s from %s, ignoring: %v", where, from, err))
}

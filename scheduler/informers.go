package scheduler

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// kind says what a letter is about.
type kind uint8

const (
	podKind kind = iota
	nodeKind
	namespaceKind
	serviceKind
	controllerKind
	replicaSetKind
	statefulSetKind
	claimKind
	volumeKind
	classKind
	csiNodeKind
	csiDriverKind
	capacityKind
	resourceClaimKind
	resourceSliceKind
	deviceClassKind
	doKind
)

// watched lists the informers that the scheduler follows.
func watched(f informers.SharedInformerFactory) map[kind]cache.SharedIndexInformer {
	return map[kind]cache.SharedIndexInformer{
		podKind:           f.Core().V1().Pods().Informer(),
		nodeKind:          f.Core().V1().Nodes().Informer(),
		namespaceKind:     f.Core().V1().Namespaces().Informer(),
		serviceKind:       f.Core().V1().Services().Informer(),
		controllerKind:    f.Core().V1().ReplicationControllers().Informer(),
		replicaSetKind:    f.Apps().V1().ReplicaSets().Informer(),
		statefulSetKind:   f.Apps().V1().StatefulSets().Informer(),
		claimKind:         f.Core().V1().PersistentVolumeClaims().Informer(),
		volumeKind:        f.Core().V1().PersistentVolumes().Informer(),
		classKind:         f.Storage().V1().StorageClasses().Informer(),
		csiNodeKind:       f.Storage().V1().CSINodes().Informer(),
		csiDriverKind:     f.Storage().V1().CSIDrivers().Informer(),
		capacityKind:      f.Storage().V1().CSIStorageCapacities().Informer(),
		resourceClaimKind: f.Resource().V1().ResourceClaims().Informer(),
		resourceSliceKind: f.Resource().V1().ResourceSlices().Informer(),
		deviceClassKind:   f.Resource().V1().DeviceClasses().Informer(),
	}
}

// tap forwards an informer's events to the mailbox.
type tap struct {
	kind kind
	box  *mailbox
}

// OnAdd implements cache.ResourceEventHandler.
func (t tap) OnAdd(obj any, _ bool) { t.box.post(letter{kind: t.kind, new: obj}) }

// OnUpdate implements cache.ResourceEventHandler. Heartbeats of nodes end here.
func (t tap) OnUpdate(old, obj any) {
	if t.kind == nodeKind && !nodeMatters(old.(*corev1.Node), obj.(*corev1.Node)) {
		return
	}
	t.box.post(letter{kind: t.kind, old: old, new: obj})
}

// OnDelete implements cache.ResourceEventHandler.
func (t tap) OnDelete(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	t.box.post(letter{kind: t.kind, old: obj})
}

// nodeMatters says whether a node's change can matter to a decision or to a waiting pod.
func nodeMatters(old, obj *corev1.Node) bool {
	return snapshot.NodeChanged(old, obj) || nodeAction(old, obj) != 0
}

// follow taps all informers and waits until each has delivered what there is. The returned function takes the taps off.
func (s *scheduler) follow(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range stops {
			f()
		}
	}
	var synced []cache.InformerSynced
	for k, informer := range s.informers {
		registration, err := informer.AddEventHandler(tap{kind: k, box: s.box})
		if err != nil {
			stop()
			return nil, fmt.Errorf("following %d: %w", k, err)
		}
		stops = append(stops, func() { _ = informer.RemoveEventHandler(registration) })
		synced = append(synced, registration.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		stop()
		return nil, ctx.Err()
	}
	return stop, nil
}

// apply takes one letter over into the Snapshot and the queue.
func (s *scheduler) apply(l *letter) {
	switch l.kind {
	case doKind:
		l.do()
	case podKind:
		s.applyPod(object[*corev1.Pod](l.old), object[*corev1.Pod](l.new))
	case nodeKind:
		s.applyNode(object[*corev1.Node](l.old), object[*corev1.Node](l.new))
	case namespaceKind:
		s.applyNamespace(object[*corev1.Namespace](l.old), object[*corev1.Namespace](l.new))
	case serviceKind:
		s.applyService(object[*corev1.Service](l.old), object[*corev1.Service](l.new))
	case controllerKind, replicaSetKind, statefulSetKind:
		s.applyOwner(l)
	default:
		s.applyStorage(l)
	}
}

// object is the letter's object, nil if there is none.
func object[T any](o any) (t T) {
	t, _ = o.(T)
	return t
}

func (s *scheduler) happened(resource plugin.Resource, action plugin.Action, label string, old, obj any) {
	s.queue.Happened(&plugin.Event{Resource: resource, Action: action, Label: label, Old: old, New: obj}, s.now())
}

func (s *scheduler) applyNamespace(old, obj *corev1.Namespace) {
	if obj == nil {
		s.snapshot.SetNamespace(nil, old.Name)
		return
	}
	s.snapshot.SetNamespace(obj, obj.Name)
	if old == nil {
		s.happened(plugin.Namespace, plugin.Add, "NamespaceAdd", nil, obj)
	} else if !labels.Equals(old.Labels, obj.Labels) {
		s.happened(plugin.Namespace, plugin.UpdateOther, "NamespaceUpdate", old, obj)
	}
}

func (s *scheduler) applyService(old, obj *corev1.Service) {
	if obj == nil {
		s.snapshot.SetService(old.Namespace, old.Name, nil)
		return
	}
	s.snapshot.SetService(obj.Namespace, obj.Name, obj.Spec.Selector)
}

// applyOwner takes over the selector of a workload by which its pods are spread by default.
func (s *scheduler) applyOwner(l *letter) {
	obj := l.new
	if obj == nil {
		obj = l.old
	}
	meta := obj.(metav1.Object)
	name, selector := "", labels.Selector(nil)
	switch o := obj.(type) {
	case *corev1.ReplicationController:
		name, selector = "ReplicationController", labels.SelectorFromSet(o.Spec.Selector)
	case *appsv1.ReplicaSet:
		if l.old != nil && l.new != nil {
			return // its selector cannot change
		}
		name, selector = "ReplicaSet", snapshot.SelectorOf(o.Spec.Selector)
	case *appsv1.StatefulSet:
		if l.old != nil && l.new != nil {
			return
		}
		name, selector = "StatefulSet", snapshot.SelectorOf(o.Spec.Selector)
	}
	if l.new == nil {
		selector = nil
	}
	s.snapshot.SetOwner(name, meta.GetNamespace(), meta.GetName(), selector)
}

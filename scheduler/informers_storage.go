package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// follower takes a kind of object over into a map of the Snapshot.
type follower struct {
	resource plugin.Resource
	set      func(s *scheduler, key string, obj any) // nil removes
}

// keep makes a follower that stores into the map that pick returns.
func keep[T any](resource plugin.Resource, pick func(s *scheduler) map[string]T) follower {
	return follower{resource, func(s *scheduler, key string, obj any) {
		if obj == nil {
			delete(pick(s), key)
		} else {
			pick(s)[key] = obj.(T)
		}
	}}
}

// followers are the kinds beside pods and nodes, by kind of letter.
var followers = map[kind]follower{
	claimKind:         keep(plugin.PersistentVolumeClaim, func(s *scheduler) map[string]*corev1.PersistentVolumeClaim { return s.snapshot.Volumes.Claims }),
	volumeKind:        keep(plugin.PersistentVolume, func(s *scheduler) map[string]*corev1.PersistentVolume { return s.snapshot.Volumes.Volumes }),
	classKind:         keep(plugin.StorageClass, func(s *scheduler) map[string]*storagev1.StorageClass { return s.snapshot.Volumes.Classes }),
	csiNodeKind:       keep(plugin.CSINode, func(s *scheduler) map[string]*storagev1.CSINode { return s.snapshot.Volumes.Nodes }),
	csiDriverKind:     keep(plugin.CSIDriver, func(s *scheduler) map[string]*storagev1.CSIDriver { return s.snapshot.Volumes.Drivers }),
	capacityKind:      keep(plugin.CSIStorageCapacity, func(s *scheduler) map[string]*storagev1.CSIStorageCapacity { return s.snapshot.Volumes.Capacities }),
	resourceClaimKind: keep(plugin.ResourceClaim, func(s *scheduler) map[string]*resourcev1.ResourceClaim { return s.snapshot.Devices.Claims }),
	resourceSliceKind: keep(plugin.ResourceSlice, func(s *scheduler) map[string]*resourcev1.ResourceSlice { return s.snapshot.Devices.Slices }),
	deviceClassKind:   keep(plugin.DeviceClass, func(s *scheduler) map[string]*resourcev1.DeviceClass { return s.snapshot.Devices.Classes }),
}

// applyStorage takes a storage or device object over, and wakes those who wait for it.
func (s *scheduler) applyStorage(l *letter) {
	f := followers[l.kind]
	obj, action, verb := l.new, plugin.UpdateOther, "Update"
	switch {
	case l.new == nil:
		obj, action, verb = l.old, plugin.Delete, "Delete"
	case l.old == nil:
		action, verb = plugin.Add, "Add"
	}
	meta := obj.(metav1.Object)
	key := meta.GetName()
	if ns := meta.GetNamespace(); ns != "" {
		key = ns + "/" + key
	}
	f.set(s, key, l.new)
	if l.kind >= resourceClaimKind {
		s.snapshot.Devices.Version++
	}
	s.settle(l.kind, key, l.new)
	s.happened(f.resource, action, f.resource.String()+verb, l.old, l.new)
}

// settle drops an assumed state that the API server has overtaken.
func (s *scheduler) settle(k kind, key string, obj any) {
	v, d := &s.snapshot.Volumes, &s.snapshot.Devices
	switch k {
	case claimKind:
		if assumed, ok := v.Pending[key]; ok && newer(obj, assumed) {
			delete(v.Pending, key)
		}
	case volumeKind:
		if assumed, ok := v.Assumed[key]; ok && newer(obj, assumed) {
			delete(v.Assumed, key)
		}
	case resourceClaimKind:
		if assumed, ok := d.Assumed[key]; ok && newer(obj, assumed) {
			delete(d.Assumed, key)
		}
	}
}

// newer says whether an object is gone or of another version than the assumed one was made from.
func newer(obj any, assumed metav1.Object) bool {
	if obj == nil {
		return true
	}
	return obj.(metav1.Object).GetResourceVersion() != assumed.GetResourceVersion()
}

package scheduler

import (
	"maps"
	"slices"

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
	} else {
		s.snapshot.Volumes.Version++
	}
	s.settle(l.kind, key, l.new)
	s.happened(f.resource, action, f.resource.String()+verb, l.old, l.new)
}

// settle drops an assumed state that the API server has overtaken: when the object is gone, or shows what was assumed.
func (s *scheduler) settle(k kind, key string, obj any) {
	v, d := &s.snapshot.Volumes, &s.snapshot.Devices
	switch k {
	case claimKind:
		claim := object[*corev1.PersistentVolumeClaim](obj)
		if assumed, ok := v.Pending[key]; ok && (claim == nil || claim.Spec.VolumeName != "" || maps.Equal(claim.Annotations, assumed.Annotations)) {
			delete(v.Pending, key)
		}
	case volumeKind:
		volume := object[*corev1.PersistentVolume](obj)
		if _, ok := v.Assumed[key]; ok && (volume == nil || volume.Spec.ClaimRef != nil) {
			delete(v.Assumed, key)
		}
	case resourceClaimKind:
		claim := object[*resourcev1.ResourceClaim](obj)
		if assumed, ok := d.Assumed[key]; ok && (claim == nil || claim.UID != assumed.UID || reserves(claim, assumed)) {
			delete(d.Assumed, key)
		}
	}
}

// reserves says whether a claim is allocated, and reserved for all that the assumed one is.
func reserves(claim, assumed *resourcev1.ResourceClaim) bool {
	if claim.Status.Allocation == nil {
		return false
	}
	for _, want := range assumed.Status.ReservedFor {
		if !slices.Contains(claim.Status.ReservedFor, want) {
			return false
		}
	}
	return true
}

package volume

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// findVolume returns the smallest free volume that suits the claim and can be used on the node; nil if there is none.
// A volume that is reserved for the claim by name goes before all others. taken are volumes that the pod's other claims get.
func findVolume(claim *corev1.PersistentVolumeClaim, candidates []*corev1.PersistentVolume, node *snapshot.Node, taken map[string]bool) (found *corev1.PersistentVolume) {
	want := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	var selector labels.Selector
	if claim.Spec.Selector != nil {
		selector = snapshot.SelectorOf(claim.Spec.Selector)
	}
	for _, v := range candidates {
		if taken[v.Name] || v.DeletionTimestamp != nil || !sameMode(claim, v) {
			continue
		}
		have := v.Spec.Capacity[corev1.ResourceStorage]
		if have.Cmp(want) < 0 || !reachable(v, node) {
			continue
		}
		if ref := v.Spec.ClaimRef; ref != nil {
			if ref.Namespace == claim.Namespace && ref.Name == claim.Name && (ref.UID == "" || ref.UID == claim.UID) {
				return v
			}
			continue
		}
		if v.Status.Phase != corev1.VolumeAvailable && v.Status.Phase != "" || selector != nil && !selector.Matches(labels.Set(v.Labels)) ||
			volumeClass(v) != className(claim) || !offers(v, claim.Spec.AccessModes) || !sameAttributes(claim, v) {
			continue
		}
		if found != nil {
			least := found.Spec.Capacity[corev1.ResourceStorage]
			if c := have.Cmp(least); c > 0 || c == 0 && v.Name > found.Name {
				continue
			}
		}
		found = v
	}
	return found
}

func sameMode(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	mode := func(m *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
		if m == nil {
			return corev1.PersistentVolumeFilesystem
		}
		return *m
	}
	return mode(claim.Spec.VolumeMode) == mode(v.Spec.VolumeMode)
}

func sameAttributes(claim *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) bool {
	name := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return name(claim.Spec.VolumeAttributesClassName) == name(v.Spec.VolumeAttributesClassName)
}

func offers(v *corev1.PersistentVolume, modes []corev1.PersistentVolumeAccessMode) bool {
	for _, m := range modes {
		if !slices.Contains(v.Spec.AccessModes, m) {
			return false
		}
	}
	return true
}

// provisionable says whether a volume for the claim can be made on the node, and if not, whether for lack of room.
func provisionable(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, volumes *snapshot.Volumes, node *snapshot.Node) (ok, room bool) {
	if class.Provisioner == "" || class.Provisioner == "kubernetes.io/no-provisioner" {
		return false, true
	}
	if len(class.AllowedTopologies) > 0 && !slices.ContainsFunc(class.AllowedTopologies, func(t corev1.TopologySelectorTerm) bool { return allowed(&t, node) }) {
		return false, true
	}
	driver := volumes.Drivers[class.Provisioner]
	if driver == nil || driver.Spec.StorageCapacity == nil || !*driver.Spec.StorageCapacity {
		return true, true
	}
	want := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	for _, c := range volumes.Capacities {
		if c.StorageClassName != class.Name || c.NodeTopology == nil || !snapshot.SelectorOf(c.NodeTopology).Matches(labels.Set(node.Labels)) {
			continue
		}
		limit := c.Capacity
		if c.MaximumVolumeSize != nil {
			limit = c.MaximumVolumeSize
		}
		if limit != nil && limit.Cmp(want) >= 0 {
			return true, true
		}
	}
	return false, false
}

func allowed(t *corev1.TopologySelectorTerm, node *snapshot.Node) bool {
	if len(t.MatchLabelExpressions) == 0 {
		return false
	}
	for i := range t.MatchLabelExpressions {
		e := &t.MatchLabelExpressions[i]
		if value, ok := node.Labels[e.Key]; !ok || !slices.Contains(e.Values, value) {
			return false
		}
	}
	return true
}

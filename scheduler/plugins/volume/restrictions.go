package volume

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Restrictions keeps pods apart that cannot share a disk, and respects claims that only one pod may use.
type Restrictions struct{}

// NewRestrictions returns the plugin.
func NewRestrictions() *Restrictions { return &Restrictions{} }

// Name implements plugin.Plugin.
func (*Restrictions) Name() string { return RestrictionsName }

// PreFilter implements plugin.PreFilter.
func (*Restrictions) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	pod := c.Pod.Object
	disks := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return exclusiveDisk(&v) })
	if !disks && !hasClaims(pod) {
		return nil, plugin.SkipStatus
	}
	var alone []string // claims that only one pod may use
	var missing *plugin.Status
	claimsOf(pod, &c.Snapshot.Volumes, func(name string, _ bool, claim *corev1.PersistentVolumeClaim) bool {
		if claim == nil {
			missing = plugin.Reject(plugin.Unresolvable, fmt.Sprintf("persistentvolumeclaim %q not found", name))
			return false
		}
		if slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteOncePod) {
			alone = append(alone, pod.Namespace+"/"+name)
		}
		return true
	})
	if missing != nil {
		return nil, missing
	}
	if !disks && len(alone) == 0 {
		return nil, plugin.SkipStatus
	}
	c.Set(RestrictionsName, alone)
	return nil, nil
}

// Filter implements plugin.Filter.
func (*Restrictions) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	pod := c.Pod.Object
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if !exclusiveDisk(v) {
			continue
		}
		for _, other := range c.Snapshot.Pods[row] {
			for j := range other.Object.Spec.Volumes {
				if sameDisk(v, &other.Object.Spec.Volumes[j]) {
					return plugin.Reject(plugin.Unschedulable, "node(s) had no available disk")
				}
			}
		}
	}
	alone, _ := c.Get(RestrictionsName).([]string)
	for _, key := range alone {
		if c.Snapshot.Volumes.ClaimUsers(key) > 0 {
			return plugin.Reject(plugin.Unschedulable, "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode")
		}
	}
	return nil
}

func exclusiveDisk(v *corev1.Volume) bool {
	return v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.RBD != nil || v.ISCSI != nil
}

// sameDisk says whether two volumes are one disk that the two pods cannot have at the same time. Some may be shared for reading.
func sameDisk(a, b *corev1.Volume) bool {
	switch {
	case a.GCEPersistentDisk != nil && b.GCEPersistentDisk != nil:
		x, y := a.GCEPersistentDisk, b.GCEPersistentDisk
		return x.PDName == y.PDName && !(x.ReadOnly && y.ReadOnly)
	case a.AWSElasticBlockStore != nil && b.AWSElasticBlockStore != nil:
		return a.AWSElasticBlockStore.VolumeID == b.AWSElasticBlockStore.VolumeID
	case a.ISCSI != nil && b.ISCSI != nil:
		x, y := a.ISCSI, b.ISCSI
		return x.IQN == y.IQN && !(x.ReadOnly && y.ReadOnly)
	case a.RBD != nil && b.RBD != nil:
		x, y := a.RBD, b.RBD
		return x.RBDPool == y.RBDPool && x.RBDImage == y.RBDImage && !(x.ReadOnly && y.ReadOnly) &&
			slices.ContainsFunc(x.CephMonitors, func(m string) bool { return slices.Contains(y.CephMonitors, m) })
	}
	return false
}

// Events implements plugin.Events.
func (*Restrictions) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.AssignedPod, Action: plugin.Delete, Hint: func(_ *corev1.Pod, e *plugin.Event) bool {
			gone, ok := e.Old.(*corev1.Pod)
			return !ok || len(gone.Spec.Volumes) > 0
		}},
		{Resource: plugin.Node, Action: plugin.Add},
		{Resource: plugin.PersistentVolumeClaim, Action: plugin.Add | plugin.UpdateOther, Hint: isOwnClaim},
	}
}

// isOwnClaim says whether the claim of an event is one of the pod's.
func isOwnClaim(pod *corev1.Pod, e *plugin.Event) bool {
	claim, ok := e.New.(*corev1.PersistentVolumeClaim)
	if !ok {
		return true
	}
	return claim.Namespace == pod.Namespace && slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name || v.Ephemeral != nil && pod.Name+"-"+v.Name == claim.Name
	})
}

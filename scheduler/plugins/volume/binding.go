package volume

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins/noderesources"
	"github.com/septet-io/septet/scheduler/snapshot"
)

const (
	reasonAffinity = "node(s) didn't match PersistentVolume's node affinity"
	reasonNoMatch  = "node(s) didn't find available persistent volumes to bind"
	reasonNoRoom   = "node(s) did not have enough free storage"
	reasonNoVolume = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
)

// Binding sees to it that a pod's volumes can be had where it goes: those that are bound must be usable there; for claims that wait for
// their first consumer it finds volumes, or a provisioner that can make them, and binds or asks before the pod is bound.
type Binding struct {
	env     *plugin.Env
	timeout time.Duration
	shape   noderesources.Shape // nil: how well volumes fit is not rated
	waiters *waiters
}

// NewBinding returns the plugin. args are defaulted and valid.
func NewBinding(args *schedulerv1.VolumeBindingArgs, env *plugin.Env) (*Binding, error) {
	p := &Binding{env: env, timeout: time.Duration(*args.BindTimeoutSeconds) * time.Second}
	if len(args.Shape) > 0 {
		p.shape = noderesources.NewShape(args.Shape)
	}
	if env.Informers != nil {
		var err error
		if p.waiters, err = newWaiters(env); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Name implements plugin.Plugin.
func (*Binding) Name() string { return BindingName }

// plan is what a pod needs, and what was found on each row.
type plan struct {
	bound   []*corev1.PersistentVolumeClaim
	delayed []*corev1.PersistentVolumeClaim // in order of size, so that a small one does not take the place of a larger
	free    map[string][]*corev1.PersistentVolume
	rows    map[int32]*found
	// chosen is the row's plan that was reserved.
	chosen *found
}

// found is how a row serves the delayed claims.
type found struct {
	static  []pair
	dynamic []*corev1.PersistentVolumeClaim
}

type pair struct {
	claim  *corev1.PersistentVolumeClaim
	volume *corev1.PersistentVolume
}

// PreFilter implements plugin.PreFilter.
func (p *Binding) PreFilter(c *plugin.Cycle) ([]string, *plugin.Status) {
	pod := c.Pod.Object
	if !hasClaims(pod) {
		return nil, plugin.SkipStatus
	}
	n := &plan{rows: map[int32]*found{}, free: map[string][]*corev1.PersistentVolume{}}
	var status *plugin.Status
	immediate := false
	volumes := &c.Snapshot.Volumes
	claimsOf(pod, volumes, func(name string, ephemeral bool, claim *corev1.PersistentVolumeClaim) bool {
		if status = unusable(pod, name, ephemeral, claim); status != nil {
			return false
		}
		switch {
		case bound(claim):
			n.bound = append(n.bound, claim)
		case delays(claim, volumes):
			n.delayed = append(n.delayed, claim)
		default:
			immediate = true
		}
		return true
	})
	switch {
	case status != nil:
		return nil, status
	case immediate:
		return nil, plugin.Reject(plugin.Unresolvable, "pod has unbound immediate PersistentVolumeClaims")
	}
	if len(n.delayed) == 0 && !slices.ContainsFunc(n.bound, func(claim *corev1.PersistentVolumeClaim) bool { return tied(claim, volumes) }) {
		return nil, plugin.SkipStatus
	}
	slices.SortStableFunc(n.delayed, func(a, b *corev1.PersistentVolumeClaim) int {
		x, y := a.Spec.Resources.Requests[corev1.ResourceStorage], b.Spec.Resources.Requests[corev1.ResourceStorage]
		return x.Cmp(y)
	})
	for _, claim := range n.delayed {
		if _, ok := n.free[className(claim)]; !ok {
			n.free[className(claim)] = freeVolumes(volumes, className(claim))
		}
	}
	c.Set(BindingName, n)
	return nil, nil
}

// unusable says what is wrong with a claim by itself.
func unusable(pod *corev1.Pod, name string, ephemeral bool, claim *corev1.PersistentVolumeClaim) *plugin.Status {
	switch {
	case claim == nil && ephemeral:
		return plugin.Reject(plugin.Unresolvable, fmt.Sprintf("waiting for ephemeral volume controller to create the persistentvolumeclaim %q", name))
	case claim == nil:
		return plugin.Reject(plugin.Unresolvable, fmt.Sprintf("persistentvolumeclaim %q not found", name))
	case claim.Status.Phase == corev1.ClaimLost:
		return plugin.Reject(plugin.Unresolvable, fmt.Sprintf("persistentvolumeclaim %q bound to non-existent persistentvolume %q", name, claim.Spec.VolumeName))
	case claim.DeletionTimestamp != nil:
		return plugin.Reject(plugin.Unresolvable, fmt.Sprintf("persistentvolumeclaim %q is being deleted", name))
	case ephemeral && !metav1.IsControlledBy(claim, pod):
		return plugin.Reject(plugin.Unresolvable, fmt.Sprintf("PVC %s/%s was not created for pod %s/%s (pod is not owner)", claim.Namespace, claim.Name, pod.Namespace, pod.Name))
	}
	return nil
}

// tied says whether the volume of a bound claim cannot be used everywhere.
func tied(claim *corev1.PersistentVolumeClaim, volumes *snapshot.Volumes) bool {
	volume := volumes.Volume(claim.Spec.VolumeName)
	return volume == nil || volume.Spec.NodeAffinity != nil && volume.Spec.NodeAffinity.Required != nil
}

// delays says whether a claim waits for its first consumer.
func delays(claim *corev1.PersistentVolumeClaim, volumes *snapshot.Volumes) bool {
	if claim.Spec.VolumeName != "" { // chosen by hand, the binder has yet to complete it
		return false
	}
	class := volumes.Classes[className(claim)]
	return class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

func freeVolumes(volumes *snapshot.Volumes, class string) (list []*corev1.PersistentVolume) {
	for name, v := range volumes.Volumes {
		if volumeClass(v) == class {
			list = append(list, volumes.Volume(name))
		}
	}
	slices.SortFunc(list, func(a, b *corev1.PersistentVolume) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Filter implements plugin.Filter.
func (p *Binding) Filter(c *plugin.Cycle, row int32) *plugin.Status {
	n := c.Get(BindingName).(*plan)
	node := c.Snapshot.Node[row]
	volumes := &c.Snapshot.Volumes
	for _, claim := range n.bound {
		volume := volumes.Volume(claim.Spec.VolumeName)
		if volume == nil {
			return plugin.Reject(plugin.Unresolvable, reasonNoVolume)
		}
		if !reachable(volume, node) {
			return plugin.Reject(plugin.Unresolvable, reasonAffinity)
		}
	}
	if len(n.delayed) == 0 {
		return nil
	}
	f := &found{}
	taken := map[string]bool{}
	for _, claim := range n.delayed {
		if selected, ok := claim.Annotations[annSelectedNode]; ok {
			if selected != node.Name {
				return plugin.Reject(plugin.Unresolvable, reasonNoMatch)
			}
			f.dynamic = append(f.dynamic, claim)
			continue
		}
		if volume := findVolume(claim, n.free[className(claim)], node, taken); volume != nil {
			taken[volume.Name] = true
			f.static = append(f.static, pair{claim, volume})
			continue
		}
		ok, room := provisionable(claim, volumes.Classes[className(claim)], volumes, node)
		switch {
		case ok:
			f.dynamic = append(f.dynamic, claim)
		case !room:
			return plugin.Reject(plugin.Unresolvable, reasonNoRoom)
		default:
			return plugin.Reject(plugin.Unresolvable, reasonNoMatch)
		}
	}
	n.rows[row] = f
	return nil
}

// Rates implements plugin.Rater.
func (p *Binding) Rates(*plugin.Cycle) bool { return p.shape != nil }

// Score implements plugin.Score: where a shape is configured, how full the volumes would be that were found, by storage class.
func (p *Binding) Score(c *plugin.Cycle, row int32) (int64, *plugin.Status) {
	n := c.Get(BindingName).(*plan)
	f := n.rows[row]
	if p.shape == nil || f == nil || len(f.static) == 0 {
		return 0, nil
	}
	type sums struct{ asked, had int64 }
	classes := map[string]sums{}
	for _, s := range f.static {
		asked, had := s.claim.Spec.Resources.Requests[corev1.ResourceStorage], s.volume.Spec.Capacity[corev1.ResourceStorage]
		sum := classes[className(s.claim)]
		sum.asked += asked.Value()
		sum.had += had.Value()
		classes[className(s.claim)] = sum
	}
	total := 0.0
	for _, s := range classes {
		utilization := int64(100)
		if s.had > 0 && s.asked <= s.had {
			utilization = int64(float64(s.asked) * 100 / float64(s.had))
		}
		total += float64(p.shape.At(utilization))
	}
	return int64(math.Round(total / float64(len(classes)))), nil
}

// Reserve implements plugin.Reserve: the volumes count as bound from now on.
func (p *Binding) Reserve(c *plugin.Cycle, row int32) *plugin.Status {
	n, ok := c.Get(BindingName).(*plan)
	if !ok {
		return nil
	}
	if n.chosen = n.rows[row]; n.chosen == nil {
		return nil
	}
	volumes := &c.Snapshot.Volumes
	volumes.Version++
	for i := range n.chosen.static {
		s := &n.chosen.static[i]
		s.volume = claimed(s.volume, s.claim)
		volumes.Assumed[s.volume.Name] = s.volume
	}
	for i, claim := range n.chosen.dynamic {
		own := claim.DeepCopy()
		metav1.SetMetaDataAnnotation(&own.ObjectMeta, annSelectedNode, c.Snapshot.NameOf(row))
		n.chosen.dynamic[i] = own
		volumes.Pending[own.Namespace+"/"+own.Name] = own
	}
	return nil
}

func claimed(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	own := volume.DeepCopy()
	if own.Spec.ClaimRef == nil {
		metav1.SetMetaDataAnnotation(&own.ObjectMeta, annBoundByController, "yes")
	}
	own.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name,
		UID: claim.UID, ResourceVersion: claim.ResourceVersion}
	return own
}

// Unreserve implements plugin.Reserve.
func (p *Binding) Unreserve(c *plugin.Cycle, _ int32) {
	n, ok := c.Get(BindingName).(*plan)
	if !ok || n.chosen == nil {
		return
	}
	volumes := &c.Snapshot.Volumes
	volumes.Version++
	for _, s := range n.chosen.static {
		if volumes.Assumed[s.volume.Name] == s.volume {
			delete(volumes.Assumed, s.volume.Name)
		}
	}
	for _, claim := range n.chosen.dynamic {
		key := claim.Namespace + "/" + claim.Name
		if volumes.Pending[key] == claim {
			delete(volumes.Pending, key)
		}
	}
	n.chosen = nil
}

// Events implements plugin.Events.
func (*Binding) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.StorageClass, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.PersistentVolumeClaim, Action: plugin.Add | plugin.UpdateOther, Hint: isOwnClaim},
		{Resource: plugin.PersistentVolume, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeLabel},
		{Resource: plugin.CSINode, Action: plugin.Add | plugin.UpdateOther},
		{Resource: plugin.CSIDriver, Action: plugin.UpdateOther | plugin.Delete},
		{Resource: plugin.CSIStorageCapacity, Action: plugin.Add | plugin.UpdateOther},
	}
}

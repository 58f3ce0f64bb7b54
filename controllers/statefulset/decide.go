package statefulset

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// Version is a revision and its template.
type Version struct {
	Name     string
	Template *corev1.PodTemplateSpec
}

// Snapshot is all that a Plan depends on.
type Snapshot struct {
	Set *appsv1.StatefulSet
	// Current is the version that the set comes from, Update the one that it goes to. They are the same between rollouts.
	Current, Update Version
	// Pods are those that belong to the set.
	Pods []*corev1.Pod
	// Claims are existing claims by name, as far as Pods of the set need them.
	Claims map[string]*corev1.PersistentVolumeClaim
	Now    time.Time
}

// Plan is all that one turn does for a StatefulSet, in the order of its fields.
type Plan struct {
	// Reclaim are claims (copies) with other owners than before.
	Reclaim []*corev1.PersistentVolumeClaim
	// Create are Pods to create, after their missing claims.
	Create []*corev1.Pod
	// Supply are Pods that wait for claims which went missing.
	Supply []*corev1.Pod
	// Relabel are Pods (copies) that lacked the labels of their identity.
	Relabel []*corev1.Pod
	Delete  []*corev1.Pod
	Status  appsv1.StatefulSetStatus
	// After is when a Pod becomes available by time alone; 0 if none does.
	After time.Duration
}

// rollout is a Plan in the making.
type rollout struct {
	Snapshot
	replicas  []*corev1.Pod // by ordinal from the first; those to create are not in Pods
	missing   []bool        // by the same index
	condemned []*corev1.Pod // highest ordinal first
	sick      *corev1.Pod   // the first Pod that is not healthy
	plan      Plan
}

// Decide returns what to do for a StatefulSet now. It changes nothing that it is given.
func Decide(s Snapshot) Plan {
	r := &rollout{Snapshot: s}
	r.arrange()
	r.report()
	if s.Set.DeletionTimestamp == nil {
		r.establish()
	}
	return r.plan
}

// ordered says that Pods come and go one by one, each only when those before it are well.
func (r *rollout) ordered() bool {
	return r.Set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement
}

func (r *rollout) available(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pods.Available(pod, r.Set.Spec.MinReadySeconds, r.Now)
}

// healthy is what an ordered set waits for.
func (r *rollout) healthy(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && r.available(pod)
}

// arrange sorts the Pods by ordinal, fills the gaps with Pods to create, and finds those beyond the set's size.
func (r *rollout) arrange() {
	start, size := first(r.Set), int(ptr.Deref(r.Set.Spec.Replicas, 1))
	r.replicas, r.missing = make([]*corev1.Pod, size), make([]bool, size)
	for _, pod := range r.Pods {
		_, ordinal := member(pod.Name)
		switch {
		case ordinal >= start && ordinal < start+size:
			r.replicas[ordinal-start] = pod
		case ordinal >= 0:
			r.condemned = append(r.condemned, pod)
		}
	}
	for i := range r.replicas {
		if r.replicas[i] == nil {
			r.missing[i] = true
			version := r.versionFor(start + i)
			r.replicas[i] = build(r.Set, version.Template, version.Name, start+i)
		}
	}
	slices.SortFunc(r.condemned, func(a, b *corev1.Pod) int {
		_, x := member(a.Name)
		_, y := member(b.Name)
		return y - x
	})
	r.findSick()
}

func (r *rollout) findSick() {
	for _, pod := range r.replicas {
		if !r.healthy(pod) {
			r.sick = pod
			return
		}
	}
	for i := len(r.condemned) - 1; i >= 0; i-- {
		if !r.healthy(r.condemned[i]) {
			r.sick = r.condemned[i]
			return
		}
	}
}

// versionFor returns the version that a new Pod is made at: one below the partition stays at the current version.
func (r *rollout) versionFor(ordinal int) Version {
	strategy := r.Set.Spec.UpdateStrategy
	if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return r.Update
	}
	keep := int(r.Set.Status.CurrentReplicas)
	if strategy.RollingUpdate != nil {
		keep = int(ptr.Deref(strategy.RollingUpdate.Partition, 0))
	}
	if ordinal < first(r.Set)+keep {
		return r.Current
	}
	return r.Update
}

// establish makes every ordinal have its Pod, then takes away those beyond the size, then rolls. Each step
// waits for the one before.
func (r *rollout) establish() {
	for i := range r.replicas {
		if r.tend(i) && r.ordered() {
			return
		}
	}
	if len(r.plan.Create) > 0 || len(r.plan.Delete) > 0 {
		return
	}
	for _, pod := range r.condemned {
		r.reclaim(pod, true)
	}
	for _, pod := range r.condemned {
		if r.dismiss(pod) && r.ordered() {
			return
		}
	}
	if r.Set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		r.roll()
	}
}

// tend sees to one ordinal; true if those after it must wait.
func (r *rollout) tend(i int) bool {
	pod := r.replicas[i]
	switch {
	case r.missing[i]:
		for _, claim := range claims(r.Set, first(r.Set)+i) {
			if there := r.Claims[claim.Name]; there != nil && stale(there, pod) {
				return true // it goes with the Pod before; then there will be a new one
			}
		}
		r.plan.Create = append(r.plan.Create, pod)
		return true
	case pods.Ended(pod):
		// Even one that succeeded: its place in the set is not filled.
		if pod.DeletionTimestamp == nil {
			r.plan.Delete = append(r.plan.Delete, pod)
		}
		return true
	}
	if pod.Status.Phase == corev1.PodPending && r.lacksClaim(i) {
		r.plan.Supply = append(r.plan.Supply, pod)
	}
	if !r.healthy(pod) && r.ordered() {
		return true
	}
	if pod.DeletionTimestamp == nil {
		r.reclaim(pod, false)
		if !identified(pod) {
			relabelled := pod.DeepCopy()
			identify(relabelled, first(r.Set)+i)
			r.plan.Relabel = append(r.plan.Relabel, relabelled)
		}
	}
	return false
}

func (r *rollout) lacksClaim(i int) bool {
	return slices.ContainsFunc(claims(r.Set, first(r.Set)+i), func(c *corev1.PersistentVolumeClaim) bool { return r.Claims[c.Name] == nil })
}

// reclaim gives a Pod's claims the owners that the retention policy wants.
func (r *rollout) reclaim(pod *corev1.Pod, condemned bool) {
	_, ordinal := member(pod.Name)
	for i := range r.Set.Spec.VolumeClaimTemplates {
		claim := r.Claims[claimName(r.Set, &r.Set.Spec.VolumeClaimTemplates[i], ordinal)]
		if claim == nil {
			continue
		}
		if refs, changed := heirs(r.Set, pod, condemned, claim); changed {
			copied := claim.DeepCopy()
			copied.OwnerReferences = refs
			r.plan.Reclaim = append(r.plan.Reclaim, copied)
		}
	}
}

// dismiss takes one Pod away that the set is too small for; true if lower ones must wait.
func (r *rollout) dismiss(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return true
	}
	if r.ordered() && !r.healthy(pod) && pod != r.sick {
		return true
	}
	r.plan.Delete = append(r.plan.Delete, pod)
	return true
}

// roll takes Pods of other versions away, highest ordinal first, as many as may be unavailable. One that is not available
// anyway costs nothing: so a broken version can be rolled over.
func (r *rollout) roll() {
	partition := 0
	budget := r.maxUnavailable()
	if rolling := r.Set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		partition = int(ptr.Deref(rolling.Partition, 0))
	}
	for _, pod := range r.replicas {
		if !r.healthy(pod) {
			budget--
		}
	}
	for i := len(r.replicas) - 1; i >= partition; i-- {
		pod := r.replicas[i]
		if revisionOf(pod) == r.Update.Name || pod.DeletionTimestamp != nil {
			continue
		}
		if r.healthy(pod) {
			if budget <= 0 {
				continue
			}
			budget--
		}
		r.plan.Delete = append(r.plan.Delete, pod)
	}
}

// maxUnavailable is how many Pods may be missing while the set rolls, at least one.
func (r *rollout) maxUnavailable() int {
	rolling := r.Set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.MaxUnavailable == nil {
		return 1
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(rolling.MaxUnavailable, len(r.replicas), false)
	if err != nil {
		return 1
	}
	return max(1, n)
}

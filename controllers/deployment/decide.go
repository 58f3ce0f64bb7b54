package deployment

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/ptr"
)

// Plan is all that one turn does for a Deployment, in the order of its fields.
type Plan struct {
	// Create is the ReplicaSet of the current template, when there is none yet.
	Create *appsv1.ReplicaSet
	// Change are ReplicaSets to resize or to annotate anew.
	Change []Change
	// Delete are old, empty ReplicaSets beyond the history limit.
	Delete []*appsv1.ReplicaSet
	// Revision is the Deployment's deployment.kubernetes.io/revision; empty leaves it as it is.
	Revision string
	Status   appsv1.DeploymentStatus
	// After is when to look again though nothing happens: a rollout may have run out of time. 0 is never.
	After time.Duration
}

// Change is what happens to one ReplicaSet.
type Change struct {
	Set             *appsv1.ReplicaSet // as observed
	Replicas        int32
	Annotations     map[string]string // all of them
	MinReadySeconds int32
}

// Snapshot is all that a Plan depends on.
type Snapshot struct {
	Deployment *appsv1.Deployment
	// Sets are the ReplicaSets that belong to the Deployment.
	Sets []*appsv1.ReplicaSet
	// Running counts, by the UID of their ReplicaSet, the Pods that have not ended. Only strategy Recreate reads it.
	Running map[string]int
	Now     time.Time
}

// rollout is a Plan in the making.
type rollout struct {
	d      *appsv1.Deployment // a copy, whose status is edited
	before *appsv1.Deployment
	sets   []*set // oldest first
	now    time.Time
	plan   Plan
}

// set is a ReplicaSet and what is to become of it.
type set struct {
	*appsv1.ReplicaSet
	size        int32
	minReady    int32
	annotations map[string]string // never changed in place
	edited      bool
	fresh       bool // to be created
}

// Decide returns what to do for a Deployment now. It changes nothing that it is given.
func Decide(s Snapshot) Plan {
	r := &rollout{d: s.Deployment.DeepCopy(), before: s.Deployment, sets: wrap(s.Sets), now: s.Now}
	r.notePause()
	switch {
	case r.d.DeletionTimestamp != nil:
		r.report(r.newest(), false)
	case r.d.Spec.Paused, r.scaling():
		r.scaleOnly()
	case r.d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType:
		r.recreate(s.Running)
	default:
		r.roll()
	}
	r.collect()
	return r.plan
}

func wrap(all []*appsv1.ReplicaSet) []*set {
	sets := make([]*set, 0, len(all))
	for _, rs := range all {
		sets = append(sets, &set{ReplicaSet: rs, size: ptr.Deref(rs.Spec.Replicas, 0), minReady: rs.Spec.MinReadySeconds, annotations: rs.Annotations})
	}
	oldestFirst(sets)
	return sets
}

// scaling reports whether the Deployment's size was changed since its ReplicaSets were last sized: then they are scaled in
// proportion, and the rollout goes on afterwards.
func (r *rollout) scaling() bool {
	for _, s := range r.sets {
		if s.size == 0 {
			continue
		}
		if desired, known := number(s.annotations, DesiredAnnotation); known && desired != r.replicas() {
			return true
		}
	}
	return false
}

// scaleOnly keeps the size right without moving a rollout on.
func (r *rollout) scaleOnly() {
	current, _ := r.adopt(r.newest())
	old := r.except(current)
	r.scale(current, old)
	if r.d.Spec.Paused {
		r.cleanUp(old)
	}
	r.report(current, false)
}

// collect turns the edited sets into the plan.
func (r *rollout) collect() {
	for _, s := range r.sets {
		switch {
		case s.fresh:
			rs := s.ReplicaSet.DeepCopy()
			rs.Spec.Replicas, rs.Annotations = &s.size, s.annotations
			r.plan.Create = rs
		case s.edited:
			r.plan.Change = append(r.plan.Change, Change{Set: s.ReplicaSet, Replicas: s.size, Annotations: s.annotations, MinReadySeconds: s.minReady})
		}
	}
}

// replicas is the wanted number of Pods.
func (r *rollout) replicas() int32 { return ptr.Deref(r.d.Spec.Replicas, 1) }

// except returns all sets but one.
func (r *rollout) except(current *set) []*set {
	var others []*set
	for _, s := range r.sets {
		if s != current {
			others = append(others, s)
		}
	}
	return others
}

// resize gives a set a new size, with the annotations that remember what the whole Deployment was to be then.
func (r *rollout) resize(s *set, size int32) {
	if s.size != size {
		s.size, s.edited = size, true
	}
	s.annotate(DesiredAnnotation, decimal(r.replicas()))
	s.annotate(MaxAnnotation, decimal(r.replicas()+r.maxSurge()))
}

// total is the number of Pods that the sets are to have.
func total(sets []*set) (n int32) {
	for _, s := range sets {
		n += s.size
	}
	return n
}

// available is the number of Pods that the sets have had available.
func available(sets []*set) (n int32) {
	for _, s := range sets {
		n += s.Status.AvailableReplicas
	}
	return n
}

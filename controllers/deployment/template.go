package deployment

import (
	"maps"
	"sort"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/hash"
	"github.com/septet-io/septet/controllers/own"
)

// newest returns the set of the current template, or nil. If several have it, the oldest is meant: whoever
// made the others, only one may win, and always the same.
func (r *rollout) newest() *set {
	for _, s := range r.sets {
		if SameTemplate(&s.Spec.Template, &r.d.Spec.Template) {
			return s
		}
	}
	return nil
}

// SameTemplate reports whether two Pod templates are equal but for the hash that tells ReplicaSets apart.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	if len(a.Spec.Containers) != len(b.Spec.Containers) { // cheap, and settles most comparisons
		return false
	}
	x, y := *a, *b
	x.Labels, y.Labels = withoutHash(a.Labels), withoutHash(b.Labels)
	return equality.Semantic.DeepEqual(&x, &y)
}

func withoutHash(labels map[string]string) map[string]string {
	if _, found := labels[appsv1.DefaultDeploymentUniqueLabelKey]; !found {
		return labels
	}
	labels = maps.Clone(labels)
	delete(labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return labels
}

// adopt brings the set of the current template up to the Deployment's newest revision; false without such a set.
func (r *rollout) adopt(current *set) (*set, bool) {
	if current == nil {
		return nil, false
	}
	r.advance(current, r.nextRevision(current), true)
	if current.minReady != r.d.Spec.MinReadySeconds {
		current.minReady, current.edited = r.d.Spec.MinReadySeconds, true
	}
	r.plan.Revision = current.annotations[RevisionAnnotation]
	if r.hasDeadline() && condition(&r.d.Status, appsv1.DeploymentProgressing) == nil {
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "FoundNewReplicaSet", `Found new replica set "`+current.Name+`"`)
	}
	return current, true
}

// ensure returns the set of the current template, planning its creation if there is none.
func (r *rollout) ensure() *set {
	if current, found := r.adopt(r.newest()); found {
		return current
	}
	created := r.fresh()
	r.advance(created, r.nextRevision(nil), false)
	r.sets = append(r.sets, created)
	created.size = r.sizeOfNewest(created)
	r.plan.Revision = created.annotations[RevisionAnnotation]
	if r.hasDeadline() {
		r.set(appsv1.DeploymentProgressing, corev1.ConditionTrue, "NewReplicaSetCreated", `Created new replica set "`+created.Name+`"`)
	}
	return created
}

// fresh returns a set for the current template that does not exist yet.
func (r *rollout) fresh() *set {
	unique := hash.Template(&r.d.Spec.Template, r.d.Status.CollisionCount)
	template := r.d.Spec.Template.DeepCopy()
	template.Labels = with(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey, unique)
	selector := r.d.Spec.Selector.DeepCopy()
	selector.MatchLabels = with(selector.MatchLabels, appsv1.DefaultDeploymentUniqueLabelKey, unique)
	return &set{
		ReplicaSet: &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name: r.d.Name + "-" + unique, Namespace: r.d.Namespace, Labels: template.Labels,
				OwnerReferences: []metav1.OwnerReference{own.Reference(r.d, Kind)},
			},
			Spec: appsv1.ReplicaSetSpec{MinReadySeconds: r.d.Spec.MinReadySeconds, Selector: selector, Template: *template},
		},
		minReady: r.d.Spec.MinReadySeconds, fresh: true,
	}
}

func with(labels map[string]string, key, value string) map[string]string {
	all := make(map[string]string, len(labels)+1)
	maps.Copy(all, labels)
	all[key] = value
	return all
}

// oldestFirst orders sets by creation, then by name; one to be created is the youngest.
func oldestFirst(sets []*set) {
	sort.SliceStable(sets, func(i, j int) bool {
		a, b := sets[i], sets[j]
		if a.fresh != b.fresh {
			return b.fresh
		}
		if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return a.Name < b.Name
		}
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	})
}

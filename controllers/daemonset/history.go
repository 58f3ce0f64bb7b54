package daemonset

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/controllers/hash"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/revision"
	"github.com/septet-io/septet/reconcile"
)

// history is a set's revisions, in order, and the hash of the one of its current template.
type history struct {
	all  []*appsv1.ControllerRevision
	hash string
}

// history returns the set's revisions, adopting those that nobody controls, with one for the current template: the newest
// that has it, raised to be the newest of all, or a new one.
func (c *controller) history(ctx context.Context, set *appsv1.DaemonSet, selector labels.Selector) (history, error) {
	candidates := append(index.Owned[*appsv1.ControllerRevision](c.revisions, set.UID), index.Orphans[*appsv1.ControllerRevision](c.revisions, set.Namespace)...)
	claim := own.Claim[*appsv1.ControllerRevision]{
		Owner: set, Kind: Kind, Selector: selector, Of: "ControllerRevision", Fresh: c.fresh(set), Patch: revision.Patch(c.client),
	}
	all, err := claim.Sort(ctx, candidates)
	if err != nil {
		return history{}, err
	}
	revision.Sort(all)
	data, err := revision.Data(&set.Spec.Template)
	if err != nil {
		return history{}, err
	}
	var current *appsv1.ControllerRevision
	if equal := revision.Equal(all, data); len(equal) > 0 {
		current = equal[len(equal)-1]
		if current != all[len(all)-1] {
			current, err = revision.Raise(ctx, c.client, current, revision.Next(all))
		}
		if err == nil {
			current, all, err = c.unite(ctx, set, current, equal[:len(equal)-1], all)
		}
	} else if set.DeletionTimestamp == nil {
		if current, err = c.create(ctx, set, data, revision.Next(all)); err == nil {
			all = append(all, current)
		}
	}
	if err != nil || current == nil {
		return history{all: all}, err
	}
	return history{all: all, hash: current.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]}, nil
}

// unite makes one revision of several with the same template, which only people can have made: Pods of the others become Pods of
// the newest, so that nothing is rolled for it. A revision without a hash takes its own name for one.
func (c *controller) unite(ctx context.Context, set *appsv1.DaemonSet, newest *appsv1.ControllerRevision, others, all []*appsv1.ControllerRevision) (*appsv1.ControllerRevision, []*appsv1.ControllerRevision, error) {
	const label = appsv1.DefaultDaemonSetUniqueLabelKey
	if newest.Labels[label] == "" {
		labelled := newest.DeepCopy()
		metav1.SetMetaDataLabel(&labelled.ObjectMeta, label, labelled.Name)
		made, err := c.client.AppsV1().ControllerRevisions(set.Namespace).Update(ctx, labelled, metav1.UpdateOptions{})
		if err != nil {
			return nil, nil, err
		}
		newest = made
	}
	if len(others) == 0 {
		return newest, all, nil
	}
	moved := 0
	for _, pod := range index.Owned[*corev1.Pod](c.pods, set.UID) {
		other := slices.ContainsFunc(others, func(r *appsv1.ControllerRevision) bool { return r.Labels[label] == pod.Labels[label] })
		if !other || pod.Labels[label] == newest.Labels[label] {
			continue
		}
		patch := fmt.Sprintf(`{"metadata":{"uid":%q,"labels":{%q:%q}}}`, pod.UID, label, newest.Labels[label])
		if err := c.write.Patch(ctx, pod, []byte(patch)); err != nil {
			return nil, nil, err
		}
		moved++
	}
	if moved > 0 {
		// Decided on now, they would be taken for Pods of an old template and be replaced.
		return nil, nil, reconcile.Wait("%d Pods that are taken over to revision %s", moved, newest.Name)
	}
	all = slices.DeleteFunc(all, func(r *appsv1.ControllerRevision) bool { return slices.Contains(others, r) })
	return newest, all, revision.Delete(ctx, c.client, others)
}

// create writes a new revision. When its name belongs to another template the collision is counted in the set's
// status, so that the next turn tries another name.
func (c *controller) create(ctx context.Context, set *appsv1.DaemonSet, data []byte, number int64) (*appsv1.ControllerRevision, error) {
	unique := hash.Template(&set.Spec.Template, set.Status.CollisionCount)
	labels := maps.Clone(set.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[appsv1.DefaultDaemonSetUniqueLabelKey] = unique
	made, collided, err := revision.Create(ctx, c.client, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: set.Name + "-" + unique, Labels: labels, Annotations: maps.Clone(set.Annotations),
			OwnerReferences: []metav1.OwnerReference{own.Reference(set, Kind)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: number,
	})
	if err != nil || !collided {
		return made, err
	}
	status := *set.Status.DeepCopy()
	count := int32(1)
	if status.CollisionCount != nil {
		count += *status.CollisionCount
	}
	status.CollisionCount = &count
	if err := c.report(ctx, set, status); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("name of revision %s-%s is taken, trying another", set.Name, unique)
}

// trim deletes the oldest revisions that no Pod is at, beyond the history limit.
func (c *controller) trim(ctx context.Context, set *appsv1.DaemonSet, h history, members []*corev1.Pod) error {
	inUse := map[string]bool{h.hash: true}
	for _, pod := range members {
		inUse[pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]] = true
	}
	used := map[string]bool{}
	for _, r := range h.all {
		used[r.Name] = inUse[r.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]]
	}
	return revision.Delete(ctx, c.client, revision.Excess(h.all, used, set.Spec.RevisionHistoryLimit))
}

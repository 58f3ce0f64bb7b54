package statefulset

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/controllers/hash"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/revision"
)

// history returns the set's revisions in order, adopting those that nobody controls.
func (c *controller) history(ctx context.Context, set *appsv1.StatefulSet, selector labels.Selector, fresh func(context.Context) (metav1.Object, error)) ([]*appsv1.ControllerRevision, error) {
	candidates := append(index.Owned[*appsv1.ControllerRevision](c.revisions, set.UID), index.Orphans[*appsv1.ControllerRevision](c.revisions, set.Namespace)...)
	claim := own.Claim[*appsv1.ControllerRevision]{
		Owner: set, Kind: Kind, Selector: selector, Of: "ControllerRevision", Fresh: fresh, Patch: revision.Patch(c.client),
	}
	history, err := claim.Sort(ctx, candidates)
	revision.Sort(history)
	return history, err
}

// versions finds or makes the revision of the set's template, and fills in the snapshot's versions. It returns the
// history with that revision in it, and counts collisions of names.
func (c *controller) versions(ctx context.Context, s *Snapshot, history []*appsv1.ControllerRevision, collisions **int32) ([]*appsv1.ControllerRevision, error) {
	data, err := revision.Data(&s.Set.Spec.Template)
	if err != nil {
		return nil, err
	}
	update, err := c.ensure(ctx, s.Set, data, history, collisions)
	if err != nil {
		return nil, err
	}
	s.Update = Version{Name: update.Name, Template: &s.Set.Spec.Template}
	s.Current = s.Update
	for _, r := range history {
		if r.Name == s.Set.Status.CurrentRevision && r.Name != update.Name {
			template, err := revision.Template(r)
			if err != nil {
				return nil, err
			}
			s.Current = Version{Name: r.Name, Template: template}
		}
	}
	for _, r := range history {
		if r.Name == update.Name {
			return history, nil
		}
	}
	return append(history, update), nil
}

// ensure returns the revision with the given data: the newest as it is, an older one raised to be the newest, or a new one.
func (c *controller) ensure(ctx context.Context, set *appsv1.StatefulSet, data []byte, history []*appsv1.ControllerRevision, collisions **int32) (*appsv1.ControllerRevision, error) {
	if equal := revision.Equal(history, data); len(equal) > 0 {
		newest := equal[len(equal)-1]
		if newest == history[len(history)-1] {
			return newest, nil
		}
		return revision.Raise(ctx, c.client, newest, revision.Next(history))
	}
	if *collisions == nil {
		*collisions = new(int32)
	}
	for {
		unique := hash.Revision(data, *collisions)
		made, collided, err := revision.Create(ctx, c.client, newRevision(set, data, unique, revision.Next(history)))
		if err != nil || !collided {
			return made, err
		}
		more := **collisions + 1
		*collisions = &more
	}
}

// newRevision describes a set's template for its history.
func newRevision(set *appsv1.StatefulSet, data []byte, unique string, number int64) *appsv1.ControllerRevision {
	labels := maps.Clone(set.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels["controller.kubernetes.io/hash"] = unique
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: revision.Name(set.Name, unique), Labels: labels, Annotations: maps.Clone(set.Annotations),
			OwnerReferences: []metav1.OwnerReference{own.Reference(set, Kind)},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: number,
	}
}

// trim deletes the oldest revisions that neither the set nor any of its Pods is at, beyond the history limit.
func (c *controller) trim(ctx context.Context, s Snapshot, history []*appsv1.ControllerRevision) error {
	used := map[string]bool{s.Current.Name: true, s.Update.Name: true}
	for _, pod := range s.Pods {
		used[revisionOf(pod)] = true
	}
	return revision.Delete(ctx, c.client, revision.Excess(history, used, s.Set.Spec.RevisionHistoryLimit))
}

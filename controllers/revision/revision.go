// Package revision keeps the history of Pod templates that StatefulSets and DaemonSets roll between, as
// ControllerRevisions. Their data is written exactly as upstream writes it, so that a set does not roll when the
// controller that runs it is exchanged.
package revision

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Data returns what a revision stores for a template: a strategic merge patch that puts it into the set.
func Data(template *corev1.PodTemplateSpec) ([]byte, error) {
	encoded, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}

// Template returns the template that a revision stores.
func Template(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var patch struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &patch); err != nil {
		return nil, fmt.Errorf("ControllerRevision %s/%s: %w", r.Namespace, r.Name, err)
	}
	return &patch.Spec.Template, nil
}

// Sort orders revisions by number, then age, then name.
func Sort(all []*appsv1.ControllerRevision) {
	slices.SortStableFunc(all, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// Next returns the number for a new revision after those given, in order.
func Next(sorted []*appsv1.ControllerRevision) int64 {
	if len(sorted) == 0 {
		return 1
	}
	return sorted[len(sorted)-1].Revision + 1
}

// Equal returns the revisions with the given data, in order.
func Equal(sorted []*appsv1.ControllerRevision, data []byte) []*appsv1.ControllerRevision {
	var equal []*appsv1.ControllerRevision
	for _, r := range sorted {
		if bytes.Equal(r.Data.Raw, data) {
			equal = append(equal, r)
		}
	}
	return equal
}

// Name returns a revision's name; a long owner's name is cut so that the result still is a valid name.
func Name(owner, hash string) string {
	const longest = 223
	if len(owner) > longest {
		owner = owner[:longest]
	}
	return owner + "-" + hash
}

// Raise gives an older revision the newest number: the set has gone back to it.
func Raise(ctx context.Context, client kubernetes.Interface, r *appsv1.ControllerRevision, to int64) (*appsv1.ControllerRevision, error) {
	if r.Revision == to {
		return r, nil
	}
	r = r.DeepCopy()
	r.Revision = to
	made, err := client.AppsV1().ControllerRevisions(r.Namespace).Update(ctx, r, metav1.UpdateOptions{})
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "update", Kind: "ControllerRevision", Namespace: r.Namespace, Name: r.Name, UID: r.UID, Made: made.ResourceVersion})
	}
	return made, err
}

// Create creates a revision. If one of that name is there, it is returned when its data is the same; otherwise
// collided is true and another name must be tried.
func Create(ctx context.Context, client kubernetes.Interface, r *appsv1.ControllerRevision) (made *appsv1.ControllerRevision, collided bool, err error) {
	revisions := client.AppsV1().ControllerRevisions(r.Namespace)
	made, err = revisions.Create(ctx, r, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		there, err := revisions.Get(ctx, r.Name, metav1.GetOptions{})
		if err != nil {
			return nil, false, err
		}
		if !bytes.Equal(there.Data.Raw, r.Data.Raw) {
			return nil, true, nil
		}
		return there, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	reconcile.Note(ctx, journal.Record{Step: "create", Kind: "ControllerRevision", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion})
	return made, false, nil
}

// Excess returns the oldest of the revisions that are not in use, as many as there are more than limit; nil limit keeps all.
func Excess(sorted []*appsv1.ControllerRevision, used map[string]bool, limit *int32) []*appsv1.ControllerRevision {
	if limit == nil {
		return nil
	}
	var idle []*appsv1.ControllerRevision
	for _, r := range sorted {
		if !used[r.Name] {
			idle = append(idle, r)
		}
	}
	return idle[:max(0, len(idle)-int(*limit))]
}

// Delete deletes revisions; those that are gone already are no error.
func Delete(ctx context.Context, client kubernetes.Interface, doomed []*appsv1.ControllerRevision) error {
	for _, r := range doomed {
		err := client.AppsV1().ControllerRevisions(r.Namespace).Delete(ctx, r.Name, *metav1.NewPreconditionDeleteOptions(string(r.UID)))
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "ControllerRevision", Namespace: r.Namespace, Name: r.Name, UID: r.UID})
	}
	return nil
}

// Patch writes a strategic merge patch to a revision; it fits own.Claim.
func Patch(client kubernetes.Interface) func(ctx context.Context, r *appsv1.ControllerRevision, patch []byte) error {
	return func(ctx context.Context, r *appsv1.ControllerRevision, patch []byte) error {
		_, err := client.AppsV1().ControllerRevisions(r.Namespace).Patch(ctx, r.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		return err
	}
}

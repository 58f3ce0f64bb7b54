package garbagecollector

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/pods"
)

// orphan frees all dependents of an object that is being deleted with policy Orphan, then lets it go.
func (c *controller) orphan(ctx context.Context, view View) error {
	err := pods.Join(len(view.Dependents), func(i int) error {
		d := view.Dependents[i]
		if d.Resource == nil {
			return nil
		}
		return c.release(ctx, d.Resource, d.Identity, view.UID)
	})
	if err != nil {
		return err
	}
	return c.removeFinalizer(ctx, view, metav1.FinalizerOrphanDependents)
}

// release removes the references to some owners from an object. It is written against the state that was read, by its
// resourceVersion: custom resources know no patch that takes single references out of the list.
func (c *controller) release(ctx context.Context, resource *Resource, id Identity, owners ...types.UID) error {
	object, err := c.get(ctx, resource, id)
	if err != nil || object == nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(object.OwnerReferences), func(ref metav1.OwnerReference) bool {
		return slices.Contains(owners, ref.UID)
	})
	if len(left) == len(object.OwnerReferences) {
		return nil
	}
	err = c.patchMetadata(ctx, resource, id, map[string]any{
		"uid": id.UID, "resourceVersion": object.ResourceVersion, "ownerReferences": left,
	})
	if err == nil {
		c.note(ctx, "release", id, "of owners that are gone or let it go")
	}
	return err
}

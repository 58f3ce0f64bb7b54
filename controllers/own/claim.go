package own

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Claim decides which objects belong to an owner: those that its controllerRef names and its selector
// matches. Matching orphans are adopted, owned objects that match no longer are released.
type Claim[T metav1.Object] struct {
	Owner metav1.Object
	Kind  schema.GroupVersionKind
	// Selector says which objects the owner wants; Match, when set, narrows it further.
	Selector labels.Selector
	Match    func(T) bool
	// Finalizers are added on adoption and removed on release.
	Finalizers []string
	// Fresh reads the owner from the API itself. It is asked once and only before an adoption, since the
	// cache may show an owner that has been deleted or replaced.
	Fresh func(ctx context.Context) (metav1.Object, error)
	// Patch writes a strategic merge patch to an object.
	Patch func(ctx context.Context, object T, patch []byte) error
	// Of is the kind of the objects claimed, for the journal.
	Of string

	mayAdopt *error
}

// Sort returns the objects that belong to the owner, in the given order, after adopting and releasing
// as needed. On error the result holds those that are certain.
func (c *Claim[T]) Sort(ctx context.Context, objects []T) ([]T, error) {
	var ours []T
	var failed []error
	for _, object := range objects {
		is, err := c.one(ctx, object)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if is {
			ours = append(ours, object)
		}
	}
	return ours, errors.Join(failed...)
}

func (c *Claim[T]) matches(object T) bool {
	return c.Selector.Matches(labels.Set(object.GetLabels())) && (c.Match == nil || c.Match(object))
}

func (c *Claim[T]) one(ctx context.Context, object T) (bool, error) {
	ref := metav1.GetControllerOfNoCopy(object)
	switch {
	case ref != nil && ref.UID != c.Owner.GetUID():
		return false, nil
	case ref != nil && c.matches(object):
		return true, nil
	case ref != nil:
		if c.Owner.GetDeletionTimestamp() != nil {
			return false, nil // the garbage collector decides about what a dying owner has
		}
		return false, c.release(ctx, object)
	case c.Owner.GetDeletionTimestamp() != nil || object.GetDeletionTimestamp() != nil:
		return false, nil
	case object.GetNamespace() != c.Owner.GetNamespace() || !c.matches(object):
		return false, nil
	}
	return c.adopt(ctx, object)
}

// Reference returns the controllerRef that makes an object the owner's.
func Reference(owner metav1.Object, kind schema.GroupVersionKind) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: owner.GetName(), UID: owner.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

func (c *Claim[T]) adopt(ctx context.Context, object T) (bool, error) {
	if err := c.canAdopt(ctx); err != nil {
		return false, fmt.Errorf("can't adopt %s %s/%s (%s): %w", c.Of, object.GetNamespace(), object.GetName(), object.GetUID(), err)
	}
	metadata := map[string]any{"uid": object.GetUID(), "ownerReferences": []metav1.OwnerReference{Reference(c.Owner, c.Kind)}}
	if len(c.Finalizers) > 0 {
		metadata["finalizers"] = c.Finalizers
	}
	err := c.patch(ctx, "adopt", object, metadata)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

func (c *Claim[T]) release(ctx context.Context, object T) error {
	metadata := map[string]any{
		"uid":             object.GetUID(),
		"ownerReferences": []map[string]any{{"$patch": "delete", "uid": c.Owner.GetUID()}},
	}
	if len(c.Finalizers) > 0 {
		metadata["$deleteFromPrimitiveList/finalizers"] = c.Finalizers
	}
	err := c.patch(ctx, "release", object, metadata)
	// Gone, or recreated under another UID, or without the reference already: nothing to release.
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) {
		return nil
	}
	return err
}

func (c *Claim[T]) patch(ctx context.Context, step string, object T, metadata map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	if err := c.Patch(ctx, object, patch); err != nil {
		return err
	}
	reconcile.Note(ctx, journal.Record{Step: step, Kind: c.Of, Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID()})
	return nil
}

// canAdopt checks once per Claim that the owner still exists, is the same and is not being deleted.
func (c *Claim[T]) canAdopt(ctx context.Context) error {
	if c.mayAdopt == nil {
		err := c.checkOwner(ctx)
		c.mayAdopt = &err
	}
	return *c.mayAdopt
}

func (c *Claim[T]) checkOwner(ctx context.Context) error {
	fresh, err := c.Fresh(ctx)
	if err != nil {
		return err
	}
	name := types.NamespacedName{Namespace: c.Owner.GetNamespace(), Name: c.Owner.GetName()}
	if fresh.GetUID() != c.Owner.GetUID() {
		return fmt.Errorf("original %s %s is gone: got uid %s, wanted %s", c.Kind.Kind, name, fresh.GetUID(), c.Owner.GetUID())
	}
	if fresh.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s has just been deleted at %v", name, fresh.GetDeletionTimestamp())
	}
	return nil
}

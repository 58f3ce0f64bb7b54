package garbagecollector

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// at returns the client for objects of a resource in a namespace.
func (c *controller) at(resource *Resource, namespace string) metadata.ResourceInterface {
	if resource.Namespaced {
		return c.client.Metadata.Resource(resource.GroupVersionResource).Namespace(namespace)
	}
	return c.client.Metadata.Resource(resource.GroupVersionResource)
}

// get reads an object's metadata from the API; nil if it does not exist or is another one of the same name.
func (c *controller) get(ctx context.Context, resource *Resource, id Identity) (*metav1.PartialObjectMetadata, error) {
	if resource.Namespaced && id.Namespace == "" {
		return nil, nil
	}
	object, err := c.at(resource, id.Namespace).Get(ctx, id.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && object.UID != id.UID) {
		return nil, nil
	}
	return object, err
}

// verify looks whether an owner exists that is only known from its dependents' references.
func (c *controller) verify(ctx context.Context, id Identity) error {
	resource, err := c.kind(id.Group, id.Kind)
	if err != nil {
		return err
	}
	object, err := c.get(ctx, resource, id)
	if err != nil {
		return err
	}
	if object == nil {
		c.absent.add(id)
		c.look(c.graph.NotThere(id))
	}
	return nil // if it exists, its watch will tell of it
}

// collect does what follows for an object from the state of its owners.
func (c *controller) collect(ctx context.Context, view View) error {
	object, err := c.get(ctx, view.Resource, view.Identity)
	if err != nil {
		return err
	}
	if object == nil {
		c.look(c.graph.Gone(view.UID))
		return nil
	}
	owners, err := c.owners(ctx, view, object.OwnerReferences)
	if err != nil {
		return err
	}
	verdict := Judge(owners, object.Finalizers, view.Dependents)
	if len(verdict.Release) > 0 {
		return c.release(ctx, view.Resource, view.Identity, verdict.Release...)
	}
	if verdict.Unblock {
		if err := c.unblock(ctx, view, object); err != nil {
			return err
		}
	}
	if verdict.Delete == "" {
		return nil
	}
	return c.delete(ctx, view, object, verdict)
}

// owners finds out about each owner of an object.
func (c *controller) owners(ctx context.Context, view View, refs []metav1.OwnerReference) ([]Owner, error) {
	owners := make([]Owner, 0, len(refs))
	for _, ref := range refs {
		state, err := c.owner(ctx, view, ref)
		if err != nil {
			return nil, err
		}
		owners = append(owners, Owner{OwnerReference: ref, State: state})
	}
	return owners, nil
}

func (c *controller) owner(ctx context.Context, view View, ref metav1.OwnerReference) (OwnerState, error) {
	id := Identity{Group: groupOf(ref), Kind: ref.Kind, Namespace: view.Namespace, Name: ref.Name, UID: ref.UID}
	if c.absent.has(id) {
		return Absent, nil
	}
	// That an owner is there may be taken from the graph: if it is late, the owner's deletion is still to come. That it is
	// not there is asked of the API itself.
	if known, foreground := c.graph.Knows(ref, view.Namespace); known {
		if foreground {
			return Waiting, nil
		}
		return Solid, nil
	}
	resource, err := c.kind(id.Group, id.Kind)
	if err != nil {
		return Solid, err
	}
	if resource.Namespaced && view.Namespace == "" {
		// A cluster-scoped object cannot say in which namespace its owner is: nothing can be concluded.
		klog.FromContext(ctx).V(2).Info("A cluster-scoped object refers to a namespaced owner", "object", view.Identity, "owner", ref)
		return Solid, nil
	}
	object, err := c.get(ctx, resource, id)
	switch {
	case err != nil:
		return Solid, err
	case object == nil:
		c.absent.add(id)
		return Absent, nil
	case object.DeletionTimestamp != nil && slices.Contains(object.Finalizers, metav1.FinalizerDeleteDependents):
		return Waiting, nil
	}
	return Solid, nil
}

func (c *controller) delete(ctx context.Context, view View, object *metav1.PartialObjectMetadata, verdict Verdict) error {
	options := metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &view.UID},
		PropagationPolicy: &verdict.Delete,
	}
	if object.ResourceVersion != "" && !verdict.Unblock {
		options.Preconditions.ResourceVersion = &object.ResourceVersion // what was judged, or nothing
	}
	err := c.at(view.Resource, view.Namespace).Delete(ctx, view.Name, options)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	owner := object.OwnerReferences[0] // there is one, or nothing would be deleted
	reconcile.Note(ctx, journal.Record{
		Step: "delete", Kind: view.Kind, Namespace: view.Namespace, Name: view.Name, UID: view.UID, Saw: object.ResourceVersion,
		Owner: owner.Kind + "/" + view.Namespace + "/" + owner.Name, Note: "owners are gone, policy " + string(verdict.Delete),
	})
	return nil
}

// finish lets an object go that waits for its dependents, once none blocks it; those that do are looked at.
func (c *controller) finish(ctx context.Context, view View) error {
	blocking := Blocking(view.Dependents)
	if len(blocking) == 0 {
		return c.removeFinalizer(ctx, view, metav1.FinalizerDeleteDependents)
	}
	var look []types.UID
	for _, d := range blocking {
		if !d.Foreground {
			look = append(look, d.UID)
		}
	}
	c.look(look)
	return nil
}

// unblock sets blockOwnerDeletion to false in all of an object's references.
func (c *controller) unblock(ctx context.Context, view View, object *metav1.PartialObjectMetadata) error {
	refs := slices.Clone(object.OwnerReferences)
	no := false
	for i := range refs {
		refs[i].BlockOwnerDeletion = &no
	}
	return c.patchMetadata(ctx, view.Resource, view.Identity, map[string]any{
		"uid": view.UID, "resourceVersion": object.ResourceVersion, "ownerReferences": refs,
	})
}

// removeFinalizer takes a finalizer away from an object as it is in the API now.
func (c *controller) removeFinalizer(ctx context.Context, view View, finalizer string) error {
	object, err := c.get(ctx, view.Resource, view.Identity)
	if err != nil || object == nil || !slices.Contains(object.Finalizers, finalizer) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(object.Finalizers), func(f string) bool { return f == finalizer })
	err = c.patchMetadata(ctx, view.Resource, view.Identity, map[string]any{
		"resourceVersion": object.ResourceVersion, "finalizers": left,
	})
	if err == nil {
		c.note(ctx, "release", view.Identity, finalizer+" is done")
	}
	return err
}

// patchMetadata writes a JSON merge patch, which every kind understands. An object that is gone needs none.
func (c *controller) patchMetadata(ctx context.Context, resource *Resource, id Identity, metadata map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return err
	}
	_, err = c.at(resource, id.Namespace).Patch(ctx, id.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (c *controller) note(ctx context.Context, step string, id Identity, note string) {
	reconcile.Note(ctx, journal.Record{Step: step, Kind: id.Kind, Namespace: id.Namespace, Name: id.Name, UID: id.UID, Note: note})
}

// kind returns the resource of a kind. A kind that is not served (yet) is an error, since nothing is known about its objects.
func (c *controller) kind(group, kind string) (*Resource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	resource := c.kinds[groupKind{group, kind}]
	if resource == nil {
		c.rediscover()
		return nil, fmt.Errorf("no resource is known for kind %q of group %q", kind, group)
	}
	return resource, nil
}

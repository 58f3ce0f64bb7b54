package plugins

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// ownerReferences lets only those change an object's owners who may delete it, since the garbage collector deletes what has lost its
// owners; and only those let it hold back its owner's deletion who may set finalizers on that owner. Off by default.
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#ownerreferencespermissionenforcement
func ownerReferences(env *Env) (admission.Plugin, error) {
	o := &owners{env}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: o.validate}, nil
}

type owners struct{ env *Env }

func (o *owners) validate(ctx context.Context, a *admission.Attributes) error {
	next, old := ownersOf(a.Object), ownersOf(a.OldObject)
	if is(a, "", "pods", "status") || equality.Semantic.DeepEqual(next, old) {
		return nil // the status of a Pod never changes its owners
	}
	if a.Operation == admission.Update { // who creates an object could as well have left it
		may, why := o.may(ctx, a, "delete", a.Resource, a.Subresource, a.Namespace, a.Name)
		if !may {
			return forbidden(a, fmt.Errorf("cannot set an ownerRef on a resource you can't delete: %s", why))
		}
	}
	blocking := newlyBlocking(next, old)
	if len(blocking) == 0 {
		return nil
	}
	everything := schema.GroupVersionResource{Group: "*", Version: "*", Resource: "*"}
	if may, _ := o.may(ctx, a, "update", everything, "finalizers", "", "*"); may {
		return nil
	}
	for i := range blocking {
		if err := o.mayHold(ctx, a, &blocking[i]); err != nil {
			return err
		}
	}
	return nil
}

// mayHold refuses a reference that holds back the deletion of an owner on which the user may not set finalizers.
func (o *owners) mayHold(ctx context.Context, a *admission.Attributes, owner *metav1.OwnerReference) error {
	kind, err := o.kind(owner)
	if err != nil {
		return forbidden(a, fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion %s Kind %s: %w",
			owner.APIVersion, owner.Kind, err))
	}
	namespace := ""
	if kind.Scope == resource.Namespaced {
		namespace = a.Namespace // an owner in another one is none
	}
	if may, why := o.may(ctx, a, "update", kind.Resource, "finalizers", namespace, owner.Name); !may {
		return forbidden(a, fmt.Errorf("cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %s", why))
	}
	return nil
}

// kind finds what a reference names among what this server serves itself.
func (o *owners) kind(owner *metav1.OwnerReference) (*resource.Kind, error) {
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return nil, err
	}
	gvk := version.WithKind(owner.Kind)
	if kind := o.env.World.Resources.Kind(gvk); kind != nil {
		return kind, nil
	}
	return nil, &meta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
}

// may asks the authorizer about the user of a request, and says why not as upstream's messages do: "reason, error".
func (o *owners) may(ctx context.Context, a *admission.Attributes, verb string, of schema.GroupVersionResource, subresource, namespace, name string) (bool, string) {
	decision, reason, err := o.env.World.Authorizer.Authorize(ctx, &request.Info{
		IsResource: true, Verb: verb, Group: of.Group, Version: of.Version, Resource: of.Resource, Subresource: subresource, Namespace: namespace, Name: name,
	}, a.User)
	return decision == request.Allow, fmt.Sprintf("%s, %v", reason, err)
}

// ownersOf returns an object's owners: none if it is not one that has some.
func ownersOf(obj runtime.Object) []metav1.OwnerReference {
	if accessor, err := meta.Accessor(obj); err == nil {
		return accessor.GetOwnerReferences()
	}
	return nil
}

// newlyBlocking are the references that hold back an owner's deletion now, and did not before.
func newlyBlocking(next, old []metav1.OwnerReference) (list []metav1.OwnerReference) {
	blocks := func(r metav1.OwnerReference) bool { return r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion }
	for _, r := range next {
		before := slices.ContainsFunc(old, func(o metav1.OwnerReference) bool { return o.UID == r.UID && blocks(o) })
		if blocks(r) && !before {
			list = append(list, r)
		}
	}
	return list
}

package plugins

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/resource"
)

// world returns one plug-in before a fake API that holds objects, with its informers in sync.
func world(t *testing.T, make func(*Env) (admission.Plugin, error), objects ...runtime.Object) (admission.Plugin, *client.Set) {
	t.Helper()
	api := fake.NewClientset(objects...)
	set := &client.Set{Interface: api, Informers: informers.NewSharedInformerFactory(api, 0)}
	plugin, err := make(&Env{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); set.Informers.Shutdown() })
	set.Informers.Start(ctx.Done())
	set.Informers.WaitForCacheSync(ctx.Done())
	return plugin, set
}

// creation is a request to make an object in namespace "default".
func creation(object runtime.Object, subresource ...string) *admission.Attributes {
	a := &admission.Attributes{Operation: admission.Create, Object: object, Namespace: "default", Scope: resource.Namespaced}
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		panic(err)
	}
	a.Kind = kinds[0]
	a.Resource, _ = meta.UnsafeGuessKindToResource(a.Kind)
	a.Subresource = strings.Join(subresource, "/")
	if accessor, err := meta.Accessor(object); err == nil {
		a.Name = accessor.GetName()
	}
	return a
}

// update is a request to change an object.
func update(object, old runtime.Object, subresource ...string) *admission.Attributes {
	a := creation(object, subresource...)
	a.Operation, a.OldObject = admission.Update, old
	return a
}

// of says which resource a subresource with a body of its own belongs to.
func of(a *admission.Attributes, group, resource string) *admission.Attributes {
	a.Resource = schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
	return a
}

// as says who makes a request.
func as(a *admission.Attributes, name string, groups ...string) *admission.Attributes {
	a.User = resource.User{Name: name, Groups: groups}
	return a
}

// run takes a request through both steps of a plug-in and returns why it was refused: "" if it was not. Refusals must be Forbidden.
func run(t *testing.T, p admission.Plugin, a *admission.Attributes) string {
	t.Helper()
	chain := admission.Chain{Plugins: []admission.Plugin{p}}
	err := chain.Admit(t.Context(), a)
	if err == nil {
		err = chain.Validate(t.Context(), a)
	}
	if err == nil {
		return ""
	}
	status := &apierrors.StatusError{}
	if !errors.As(err, &status) {
		t.Errorf("%T: %v", err, err)
	}
	return err.Error()
}

// agree compares a refusal with the end of the one that is wanted.
func agree(t *testing.T, name, got, want string) {
	t.Helper()
	if (want == "") != (got == "") || !strings.HasSuffix(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
}

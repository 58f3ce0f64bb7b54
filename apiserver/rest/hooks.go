package rest

import (
	"context"
	"net/http"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Undo takes back a hook's side effect when the write did not happen. May be nil.
type Undo func()

// Hooks are a kind's side effects outside its own object: Service addresses, CRDs that become resources, …
// A nil field does nothing. They may run again for one request after a lost race, each run with its own Undo.
// On a dry run r.DryRun is set: compute, but leave nothing behind.
type Hooks struct {
	// BeforeCreate runs after mutating admission and PrepareCreate, before validation. It may change obj.
	BeforeCreate func(ctx context.Context, r *resource.Request, obj resource.Object) (Undo, error)
	// BeforeUpdate runs after mutating admission and PrepareUpdate, before validation. It may change obj.
	BeforeUpdate func(ctx context.Context, r *resource.Request, obj, old resource.Object) (Undo, error)
	// BeforeDelete may refuse a deletion, before anything is written.
	BeforeDelete func(ctx context.Context, r *resource.Request, obj resource.Object) error
	// Held says that an object marked as deleted may not go yet though it has no finalizers (namespaces' spec.finalizers).
	Held func(obj resource.Object) bool
	// OnMark changes an object that is being marked as deleted (a namespace's phase).
	OnMark func(obj resource.Object)
	// AfterCreate, AfterUpdate and AfterDelete run when the write is in storage; not on a dry run. AfterDelete
	// runs when the object is gone from storage, not when its deletion is only marked.
	AfterCreate func(ctx context.Context, obj resource.Object)
	AfterUpdate func(ctx context.Context, obj, old resource.Object)
	AfterDelete func(ctx context.Context, obj resource.Object)
}

// Connection is a request to a subresource with behaviour of its own.
type Connection struct {
	Resource *Resource
	// Key names the object; Rest is the path behind the subresource.
	Key  store.Key
	Rest string
	User resource.User
}

// Handler serves a subresource with behaviour of its own: exec, log, proxy, binding, eviction, token, …
// An error that it returns is sent as a Status if nothing has been written yet.
type Handler func(w http.ResponseWriter, r *http.Request, c *Connection) error

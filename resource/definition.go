// Package resource is the table of kinds: all that the API server knows about a kind stands in one
// Definition. Built-in kinds are Definitions in the folders below, one folder an API group; custom
// resources become Definitions at run time. The rest package gives every Definition the same verbs.
package resource

import (
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Object is an API object with metadata: *corev1.Pod, *unstructured.Unstructured, …
type Object interface {
	runtime.Object
	metav1.Object
}

// Scope says whether objects of a kind live in a namespace.
type Scope string

// The two scopes.
const (
	Namespaced Scope = "Namespaced"
	Cluster    Scope = "Cluster"
)

// User is who makes a request.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// Request is what a Definition may know about the write that it takes part in.
type Request struct {
	User User
	// Verb is create, update, patch or delete; Subresource is empty for the object itself.
	Verb, Subresource string
	DryRun            bool
	// Now is the time of the request, so that Prepare functions are pure.
	Now time.Time
}

// Definition is all that the server knows about a kind. A nil field means nothing special.
// Functions may change only the object that they are given to change (the first one of that type).
type Definition[T Object] struct {
	// Group is empty for the core group.
	Group, Version, Kind, Plural string
	// Singular is the lower-case Kind if empty, and ListKind the Kind with "List".
	Singular   string
	ListKind   string
	Short      []string
	Categories []string
	Scope      Scope
	// Verbs, when not nil, are the only ones served: {"create"} for reviews, which are never stored.
	Verbs []string

	// StorageKey is the etcd folder below /registry/ ("minions" for nodes); Plural if empty.
	StorageKey string
	// TTL, when set, is how long etcd keeps an object (Events).
	TTL func(T) time.Duration

	// Default fills in what the sender left out, after decoding and again after each patch.
	Default func(T)
	// ValidateName checks metadata.name (and generateName, with prefix true); DNS subdomain if nil.
	// The messages are those of apimachinery's api/validation NameIs… functions.
	ValidateName func(name string, prefix bool) []string
	// PrepareCreate and PrepareUpdate reset what the sender may not set, before validation. Status (where
	// there is a "status" View) is dropped on create and kept from old on update before they are called,
	// and generation is kept if Generation is set.
	PrepareCreate func(r *Request, obj T)
	PrepareUpdate func(r *Request, obj, old T)
	// Validate and ValidateUpdate return every error, with upstream's paths, types and wording.
	// ValidateUpdate includes what of Validate must hold for the new object. Metadata is validated by rest.
	Validate       func(r *Request, obj T) field.ErrorList
	ValidateUpdate func(r *Request, obj, old T) field.ErrorList
	// Warn returns what to send as Warning headers; old is nil on create.
	Warn func(r *Request, obj, old T) []string

	// Generation: metadata.generation is 1 on create and grows whenever Spec (everything but metadata and status) changes.
	Generation bool
	// StatusOnCreate: the status that a new object brings is kept (Nodes: kubelets register with theirs).
	StatusOnCreate bool
	// CreateOnUpdate: a PUT to a name that does not exist creates it.
	CreateOnUpdate bool
	// RequireVersion: an update without metadata.resourceVersion is refused.
	RequireVersion bool
	// Grace returns for how long a deletion waits for the object's owner to let go, in seconds; 0 deletes
	// at once. Called only when options carry or imply a grace period. Nil: always at once. (Pods)
	Grace func(r *Request, obj T, options *metav1.DeleteOptions) int64
	// WarnDelete returns what to send as Warning headers with a deletion.
	WarnDelete func(r *Request, obj T, options *metav1.DeleteOptions) []string
	// Propagation is the default deletion policy, where it is not Background.
	Propagation metav1.DeletionPropagation

	// Views are subresources that read and write the same object with other rules: status, resize, ephemeralcontainers, …
	Views []View[T]
	// Scale, when set, serves the scale subresource.
	Scale *Scale[T]
	// Connectors are subresources with behaviour of their own: exec, log, binding, token, …
	// They are named here for discovery; the API server supplies the behaviour.
	Connectors []Connector

	// Columns are what kubectl get prints; Name and Age alone if empty.
	Columns []Column[T]
	// RowConditions mark a row (pods: "Completed"), as upstream's table does.
	RowConditions func(T) []metav1.TableRowCondition
	// Fields are the field selectors besides metadata.name and metadata.namespace.
	Fields []Field[T]

	// StoredAs, when set, is the kind in which objects of this one are stored and cached (HPA v1 as v2, …), and To
	// and From convert. Lists convert in one call, since a webhook may do it.
	StoredAs *Kind
	To       func(objs []Object) ([]Object, error)
	From     func(objs []Object) ([]Object, error)

	// New makes an empty object; by reflection if nil.
	New func() T
}

// View is a subresource which is the same object under other rules.
type View[T Object] struct {
	Name string
	// Prepare takes back what this view may not change (obj := old, save the view's own fields). Nil for "status":
	// everything but status and managed fields is kept from old.
	Prepare func(r *Request, obj, old T)
	// Validate checks what this view may change.
	Validate func(r *Request, obj, old T) field.ErrorList
	// Verbs are get, patch and update if nil.
	Verbs []string
}

// Scale maps a kind to the autoscaling/v1 Scale.
type Scale[T Object] struct {
	// Get fills Spec.Replicas, Status.Replicas and Status.Selector; metadata is filled by rest.
	Get func(obj T) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus)
	// Set changes the wanted replicas.
	Set func(obj T, replicas int32)
	// Check says why an object cannot be shown as a Scale; may be nil.
	Check func(obj T) error
}

// Connector names a subresource with behaviour of its own.
type Connector struct {
	Name string
	// Kind is that of the body or options, for discovery: policy/v1 Eviction, core/v1 PodExecOptions, …
	Kind schema.GroupVersionKind
	// Verbs as discovery lists them.
	Verbs []string
}

// Column is one column of kubectl get (apiextensions and meta.k8s.io/v1 Table).
type Column[T Object] struct {
	Name string
	// Type is an OpenAPI type: string, integer, date, boolean, number. String if empty.
	Type string
	// Format is "name" for the first column, else as OpenAPI; mostly empty.
	Format      string
	Description string
	// Priority 0 is always shown, 1 with -o wide.
	Priority int32
	// Value returns a string, int64, bool or nil.
	Value func(obj T) any
}

// Field is a field selector.
type Field[T Object] struct {
	Name  string
	Value func(obj T) string
	// Stored is the field's name in the kind that lies in storage, where that is another one; Name if empty.
	Stored string
}

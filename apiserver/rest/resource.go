// Package rest gives every kind the same verbs: create, get, list, watch, update, patch, apply and delete, once for all.
// A Resource is a Definition bound to a Store.
package rest

import (
	"reflect"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/resource"
)

// Env is what all Resources of one server share.
type Env struct {
	// Admission stands between valid requests and storage. Never nil.
	Admission *admission.Chain
	// Journal notes each write; may be nil.
	Journal *journal.Ring
	// Fields tracks who set which field. Never nil.
	Fields *Fields
	// Draining is closed when the server shuts down: watches end, so that their clients go elsewhere.
	Draining <-chan struct{}
	// MinWatch is the least time after which a watch without a timeout of its own ends; the most is double. 30 minutes if zero.
	MinWatch time.Duration
	// EventTTL is how long events are kept; 0: as long as their kind says.
	EventTTL time.Duration
	// DeleteWorkers is how many objects of a collection are deleted at a time; 1 if zero.
	DeleteWorkers int
	// Validate has rules of this server beside the kinds' own, nil: none. old is nil on create.
	Validate func(r *resource.Request, obj, old resource.Object) field.ErrorList
}

// furtherErrors are those of the server's own rules.
func (r *Resource) furtherErrors(req *resource.Request, obj, old resource.Object) field.ErrorList {
	if r.Env.Validate == nil {
		return nil
	}
	return r.Env.Validate(req, obj, old)
}

// Resource is a Kind bound to a Store: it has the verbs. Read only once it serves.
type Resource struct {
	*resource.Kind
	Env *Env
	// Open returns the Store of the kind's objects (of StoredAs, where that is set). It starts the store on first use.
	Open func() store.Store
	// Connect has the behaviour of the subresources that the Kind names as Connectors, by subresource name. The
	// empty name is the resource itself: create of kinds that are never stored (reviews).
	Connect map[string]Handler
	Hooks   Hooks
	// Custom is what only custom resources have; nil for built-in kinds. Set by NewCustom.
	Custom *Custom
	// Hidden keeps it from clients: it is neither described nor served, but for those in this process.
	Hidden bool
	// Deprecation is the warning for each request; empty for most kinds.
	Deprecation string

	forms    [formats]store.Encoding
	layout   layout
	managers sync.Map // of *managedfields.FieldManager by subresource
	trackers sync.Map // of *fields.Tracker by subresource
}

// Custom is what takes the place of a Go type where a kind is known only at run time.
type Custom struct {
	// Types is the merge schema.
	Types managedfields.TypeConverter
	// Schema is the OpenAPI schema as JSON: of version 3 or, with v2, of version 2. Tag changes whenever it does.
	Schema func(v2 bool) ([]byte, error)
	Tag    string
	// Coerce makes a decoded object fit: what its schema does not know is dropped, and returned as paths if wanted. An error
	// says that the object cannot be one of this kind.
	Coerce func(obj resource.Object, paths bool) (unknown []string, err error)
	// Batch converts many objects at once, where that is better than one by one when they are needed: a webhook does it.
	// Nil: one by one.
	Batch bool
}

// Version is the Tag; empty for built-in kinds.
func (c *Custom) Version() string {
	if c == nil {
		return ""
	}
	return c.Tag
}

// New binds a kind. open is called at most once a request, so it should be cheap after the first time.
func New(kind *resource.Kind, env *Env, open func() store.Store) *Resource {
	r := &Resource{Kind: kind, Env: env, Open: open, Connect: map[string]Handler{}}
	r.layout = layoutOf(kind)
	r.Deprecation = deprecationOf(kind.GroupVersionKind)
	r.forms = r.encodings()
	return r
}

// NewCustom binds a kind that is known only at run time.
func NewCustom(kind *resource.Kind, env *Env, open func() store.Store, custom *Custom) *Resource {
	r := New(kind, env, open)
	r.Custom = custom
	r.forms = r.encodings()
	return r
}

// stored is the kind that lies in storage.
func (r *Resource) stored() *resource.Kind {
	if r.StoredAs != nil {
		return r.StoredAs
	}
	return r.Kind
}

// listKind is the kind of a collection of these objects.
func (r *Resource) listKind() schema.GroupVersionKind {
	gvk := r.GroupVersionKind
	gvk.Kind = r.ListKind
	return gvk
}

// groupKind names the kind in Invalid errors.
func (r *Resource) groupKind() schema.GroupKind { return r.GroupVersionKind.GroupKind() }

// outward converts a stored object to the served version. The result must not be changed.
func (r *Resource) outward(obj resource.Object) (resource.Object, error) {
	if r.StoredAs == nil {
		return obj, nil
	}
	converted, err := r.From([]resource.Object{obj})
	if err != nil {
		return nil, err
	}
	converted[0].GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	return converted[0], nil
}

// Type is the Go type of the served objects: *corev1.Pod, *unstructured.Unstructured, …
func (r *Resource) Type() reflect.Type { return r.layout.goType }

// Served is a stored object in the version that the Resource serves. It must not be changed.
func (r *Resource) Served(item *store.Item) (resource.Object, error) { return r.outward(item.Object) }

// inward converts an object of the served version to the stored one.
func (r *Resource) inward(obj resource.Object) (resource.Object, error) {
	if r.StoredAs == nil {
		return obj, nil
	}
	converted, err := r.To([]resource.Object{obj})
	if err != nil {
		return nil, err
	}
	return converted[0], nil
}

// layout is where the parts of a kind's Go struct are, found once.
type layout struct {
	unstructured bool
	goType       reflect.Type
	// statusView says that only the status subresource sets the status.
	statusView bool
	// status is the index of the Status field, -1 if there is none or no status view.
	status int
	// content are the indexes of all fields that count for the generation: not metadata, not status.
	content []int
	// names are their JSON names.
	names []string
	// parts are the indexes of the fields that are structs: metadata, spec, status; by JSON name.
	parts map[string]int
}

func layoutOf(kind *resource.Kind) layout {
	l := layout{status: -1, statusView: kind.View("status") != nil}
	sample := kind.New()
	l.goType = reflect.TypeOf(sample)
	t := l.goType.Elem()
	if _, isMap := sample.(interface{ UnstructuredContent() map[string]any }); isMap {
		l.unstructured, l.names = true, []string{"spec"}
		return l
	}
	l.parts = map[string]int{}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" && t.Field(i).Type.Kind() == reflect.Struct {
			l.parts[name] = i
		}
		switch t.Field(i).Name {
		case "TypeMeta", "ObjectMeta":
		case "Status":
			if l.statusView {
				l.status = i
			}
		default:
			l.content = append(l.content, i)
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			l.names = append(l.names, name)
		}
	}
	return l
}

package resource

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Kind is a Definition without its type parameter: what the verbs work with. Functions that a Definition
// left nil are either filled with their default or nil as noted.
type Kind struct {
	GroupVersionKind schema.GroupVersionKind
	// Resource is group, version and plural.
	Resource   schema.GroupVersionResource
	Singular   string
	ListKind   string
	Short      []string
	Categories []string
	Scope      Scope
	Verbs      []string // never nil
	// StorageKey is the folder below /registry/.
	StorageKey string
	TTL        func(Object) time.Duration // may be nil

	New            func() Object
	Default        func(Object)
	ValidateName   func(name string, prefix bool) []string
	PrepareCreate  func(r *Request, obj Object)
	PrepareUpdate  func(r *Request, obj, old Object)
	Validate       func(r *Request, obj Object) field.ErrorList
	ValidateUpdate func(r *Request, obj, old Object) field.ErrorList
	Warn           func(r *Request, obj, old Object) []string

	Generation, StatusOnCreate     bool
	CreateOnUpdate, RequireVersion bool
	Grace                          func(r *Request, obj Object, options *metav1.DeleteOptions) int64    // may be nil
	WarnDelete                     func(r *Request, obj Object, options *metav1.DeleteOptions) []string // may be nil
	Propagation                    metav1.DeletionPropagation

	Views      []KindView
	Scale      *KindScale // may be nil
	Connectors []Connector

	// Columns never is empty; Row returns their values for an object.
	Columns       []metav1.TableColumnDefinition
	Row           func(Object) []any
	RowConditions func(Object) []metav1.TableRowCondition // may be nil

	Fields []KindField

	StoredAs *Kind // nil: itself
	To, From func([]Object) ([]Object, error)
}

// KindView is a View without its type parameter.
type KindView struct {
	Name     string
	Verbs    []string
	Prepare  func(r *Request, obj, old Object)
	Validate func(r *Request, obj, old Object) field.ErrorList
}

// KindScale is a Scale without its type parameter.
type KindScale struct {
	Get   func(Object) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus)
	Set   func(Object, int32)
	Check func(Object) error
}

// KindField is a Field without its type parameter.
type KindField struct {
	Name   string
	Value  func(Object) string
	Stored string
}

// AllVerbs are those of a stored kind, in discovery's order.
var AllVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// Define turns a Definition into the Kind that the server works with. It panics on a Definition that
// contradicts itself, since built-in ones are part of the program.
func Define[T Object](d Definition[T]) *Kind {
	if d.Kind == "" || d.Plural == "" || d.Version == "" || d.Scope == "" {
		panic(fmt.Sprintf("resource: definition of %q lacks a kind, plural, version or scope", d.Kind+d.Plural))
	}
	k := &Kind{
		GroupVersionKind: schema.GroupVersionKind{Group: d.Group, Version: d.Version, Kind: d.Kind},
		Resource:         schema.GroupVersionResource{Group: d.Group, Version: d.Version, Resource: d.Plural},
		Singular:         orElse(d.Singular, strings.ToLower(d.Kind)),
		ListKind:         orElse(d.ListKind, d.Kind+"List"),
		Short:            d.Short, Categories: d.Categories, Scope: d.Scope,
		Verbs:      d.Verbs,
		StorageKey: orElse(d.StorageKey, d.Plural),
		Generation: d.Generation, StatusOnCreate: d.StatusOnCreate, CreateOnUpdate: d.CreateOnUpdate, RequireVersion: d.RequireVersion,
		Propagation: metav1.DeletionPropagation(orElse(string(d.Propagation), string(metav1.DeletePropagationBackground))),
		Connectors:  d.Connectors,
		StoredAs:    d.StoredAs, To: d.To, From: d.From,
		ValidateName: d.ValidateName,
	}
	if k.Verbs == nil {
		k.Verbs = AllVerbs
	}
	if k.ValidateName == nil {
		k.ValidateName = apivalidation.NameIsDNSSubdomain
	}
	k.New = newFunc(d.New)
	eraseWrites(k, &d)
	eraseReads(k, &d)
	return k
}

func newFunc[T Object](given func() T) func() Object {
	if given != nil {
		return func() Object { return given() }
	}
	elem := reflect.TypeFor[T]().Elem()
	return func() Object { return reflect.New(elem).Interface().(Object) }
}

// View returns the named view, nil if the kind has none of that name.
func (k *Kind) View(name string) *KindView {
	for i := range k.Views {
		if k.Views[i].Name == name {
			return &k.Views[i]
		}
	}
	return nil
}

// Stored says whether objects of the kind are kept at all: reviews are not.
func (k *Kind) Stored() bool {
	for _, verb := range k.Verbs {
		if verb == "get" || verb == "list" {
			return true
		}
	}
	return false
}

// Namespaced says whether objects live in a namespace.
func (k *Kind) Namespaced() bool { return k.Scope == Namespaced }

// GroupResource names the kind in errors.
func (k *Kind) GroupResource() schema.GroupResource { return k.Resource.GroupResource() }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

package rest

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/septet-io/septet/apiserver/fields"
	"github.com/septet-io/septet/resource"
)

// Fields tracks which manager set which field (server-side apply, KEP-555). The merge itself is apimachinery's; this
// binds it to kinds. The merge schema of the built-in types is parsed on first use.
type Fields struct {
	// Kind returns a served kind, nil if there is none: to convert between versions of one kind.
	Kind func(schema.GroupVersionKind) *resource.Kind

	// Described returns the merge schema of a built-in kind that client-go does not know, from its description in OpenAPI.
	Described func(*resource.Kind) (managedfields.TypeConverter, error)

	types func() managedfields.TypeConverter
}

// NewFields returns a tracker; kind is as in the field.
func NewFields(kind func(schema.GroupVersionKind) *resource.Kind) *Fields {
	return &Fields{
		Kind: kind,
		types: sync.OnceValue(func() managedfields.TypeConverter {
			return applyconfigurations.NewTypeConverter(scheme.Scheme)
		}),
	}
}

// TypeConverter is the merge schema of the kind's objects.
func (r *Resource) TypeConverter() (managedfields.TypeConverter, error) {
	switch {
	case r.Custom != nil:
		return r.Custom.Types, nil
	case scheme.Scheme.Recognizes(r.GroupVersionKind) || r.Env.Fields.Described == nil:
		return r.Env.Fields.types(), nil
	}
	types, err := r.Env.Fields.Described(r.Kind)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.GroupVersionKind.Kind, err)
	}
	return types, nil
}

// fieldManager returns what tracks the fields of the kind's objects under a subresource.
func (r *Resource) fieldManager(subresource string) (*managedfields.FieldManager, error) {
	if found, ok := r.managers.Load(subresource); ok {
		return found.(*managedfields.FieldManager), nil
	}
	types, err := r.TypeConverter()
	if err != nil {
		return nil, err
	}
	create := managedfields.NewDefaultFieldManager
	if r.Custom != nil {
		create = managedfields.NewDefaultCRDFieldManager
	}
	c := &converter{r}
	m, err := create(types, c, c, c, r.GroupVersionKind, r.GroupVersionKind.GroupVersion(), subresource, r.resetFields(subresource))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.GroupVersionKind.Kind, err)
	}
	r.managers.Store(subresource, m)
	return m, nil
}

// tracker returns the fast way to track the fields of built-in kinds; nil if there is none for this kind.
func (r *Resource) tracker(subresource string) *fields.Tracker {
	if found, ok := r.trackers.Load(subresource); ok {
		return found.(*fields.Tracker)
	}
	var t *fields.Tracker
	if r.Custom == nil {
		if reset, resetMeta, ok := flat(r.reset(subresource)); ok {
			t = fields.New(r.New(), r.GroupVersionKind.GroupVersion().String(), subresource, reset, resetMeta)
		}
	}
	r.trackers.Store(subresource, t)
	return t
}

// track notes in obj which fields a write changed; live is the object before, nil on create.
func (r *Resource) track(live, obj resource.Object, manager, subresource string) (resource.Object, error) {
	fast := r.tracker(subresource)
	switch {
	case fast == nil:
	case live == nil && fast.Create(obj, manager, time.Now()), live != nil && fast.Update(live, obj, manager, time.Now()):
		return obj, nil
	}
	if live == nil {
		live = r.empty()
	}
	return r.trackSlowly(live, obj, manager, subresource)
}

// trackSlowly is track for whatever is out of the ordinary.
func (r *Resource) trackSlowly(live, obj resource.Object, manager, subresource string) (resource.Object, error) {
	m, err := r.fieldManager(subresource)
	if err != nil {
		return nil, err
	}
	tracked, ok := m.UpdateNoErrors(live, obj, manager).(resource.Object)
	if !ok {
		return nil, fmt.Errorf("%s: tracking fields returned another type", r.GroupVersionKind.Kind)
	}
	return tracked, nil
}

// maxManagerName bounds a manager's name, as the API does.
const maxManagerName = 128

// managerName is the fieldManager option or what the User-Agent says before its first slash.
func managerName(option, userAgent string) string {
	if option != "" {
		return option
	}
	name, _, _ := strings.Cut(userAgent, "/")
	var b strings.Builder
	for _, c := range name {
		if unicode.IsPrint(c) && b.Len()+len(string(c)) <= maxManagerName {
			b.WriteRune(c)
		}
	}
	if b.Len() == 0 {
		return "unknown"
	}
	return b.String()
}

// converter is what the field tracking asks of a scheme, for one kind in all its versions.
type converter struct{ r *Resource }

// Convert is not asked for by field tracking.
func (c *converter) Convert(in, out, _ any) error {
	return fmt.Errorf("converting %T into %T is not possible here", in, out)
}

// ConvertFieldLabel is not asked for by field tracking.
func (c *converter) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// ConvertToVersion returns the object in the version that the target picks, as a typed object if its kind is one.
func (c *converter) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	from := in.GetObjectKind().GroupVersionKind()
	to, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{from})
	if !ok {
		if gv, isVersion := target.(schema.GroupVersion); isVersion {
			to = gv.WithKind(from.Kind)
		} else {
			to = from
		}
	}
	obj, err := c.typed(in, from)
	if err != nil || from == to {
		return obj, err
	}
	return c.across(obj, from, to)
}

// typed makes a Go struct of an unstructured object whose kind has one.
func (c *converter) typed(in runtime.Object, gvk schema.GroupVersionKind) (runtime.Object, error) {
	u, ok := in.(*unstructured.Unstructured)
	if !ok {
		return in, nil
	}
	kind := c.kind(gvk)
	if kind == nil {
		return nil, runtime.NewNotRegisteredErrForKind("server", gvk)
	}
	obj := kind.New()
	if _, custom := obj.(*unstructured.Unstructured); custom {
		return in, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj); err != nil {
		return nil, err
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return obj, nil
}

func (c *converter) kind(gvk schema.GroupVersionKind) *resource.Kind {
	if gvk == c.r.GroupVersionKind {
		return c.r.Kind
	}
	if c.r.Env.Fields.Kind == nil {
		return nil
	}
	return c.r.Env.Fields.Kind(gvk)
}

// across converts between two served versions by way of the stored one.
func (c *converter) across(obj runtime.Object, from, to schema.GroupVersionKind) (runtime.Object, error) {
	source, target := c.kind(from), c.kind(to)
	if source == nil {
		return nil, runtime.NewNotRegisteredErrForKind("server", from)
	}
	if target == nil {
		return nil, runtime.NewNotRegisteredErrForKind("server", to)
	}
	current, ok := obj.(resource.Object)
	if !ok {
		return nil, fmt.Errorf("%T has no metadata", obj)
	}
	return convert(current, source, target)
}

// New makes an empty object of a kind.
func (c *converter) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	kind := c.kind(gvk)
	if kind == nil {
		return nil, runtime.NewNotRegisteredErrForKind("server", gvk)
	}
	obj := kind.New()
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return obj, nil
}

// Default fills in what an applied object left out.
func (c *converter) Default(obj runtime.Object) {
	if typed, ok := obj.(resource.Object); ok {
		c.r.Kind.Default(typed)
	}
}

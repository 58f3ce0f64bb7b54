package match

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// Version is a request in the version in which somebody wants to see it. It must not be used by several at once, but
// for what it has computed already.
type Version struct {
	*admission.Attributes
	// As is what it matched.
	As Hit
	// Object and OldObject are those of the Attributes as As.Kind; nil as there. They must not be changed, but may be replaced.
	Object, OldObject runtime.Object

	json, oldJSON       []byte
	content, oldContent map[string]any
	request             map[string]any
}

// Version shows a request as what it matched. Objects are converted only if they are of another kind.
func (w *World) Version(a *admission.Attributes, hit Hit) (*Version, error) {
	v := &Version{Attributes: a, As: hit}
	var err error
	if v.Object, err = w.convert(a.Object, a.Kind, hit.Kind); err != nil {
		return nil, err
	}
	v.OldObject, err = w.convert(a.OldObject, a.Kind, hit.Kind)
	return v, err
}

// Versions shows a request in any version, each made once.
func (w *World) Versions(a *admission.Attributes) func(Hit) (*Version, error) {
	var made []*Version
	return func(hit Hit) (*Version, error) {
		if i := slices.IndexFunc(made, func(v *Version) bool { return v.As == hit }); i >= 0 {
			return made[i], nil
		}
		v, err := w.Version(a, hit)
		if err == nil {
			made = append(made, v)
		}
		return v, err
	}
}

func (w *World) convert(obj runtime.Object, from, to schema.GroupVersionKind) (runtime.Object, error) {
	if obj == nil {
		return nil, nil
	}
	if from != to {
		return w.Resources.All().Convert(obj, from, to)
	}
	if obj.GetObjectKind().GroupVersionKind().Kind == "" {
		obj = obj.DeepCopyObject() // options of connections, mostly
		obj.GetObjectKind().SetGroupVersionKind(to)
	}
	return obj, nil
}

// Replace puts a changed object in the place of Object. It is of the same kind.
func (v *Version) Replace(obj runtime.Object) { v.Object, v.json, v.content = obj, nil, nil }

// JSON returns both objects encoded, nil for those that are not there.
func (v *Version) JSON() (obj, old []byte, err error) {
	if v.json, err = encoded(v.json, v.Object); err == nil {
		v.oldJSON, err = encoded(v.oldJSON, v.OldObject)
	}
	return v.json, v.oldJSON, err
}

func encoded(known []byte, obj runtime.Object) ([]byte, error) {
	if known != nil || obj == nil {
		return known, nil
	}
	return json.Marshal(obj)
}

// Content returns both objects as unstructured content, nil for those that are not there.
func (v *Version) Content() (obj, old map[string]any, err error) {
	if v.content, err = unstructuredOf(v.content, v.Object); err == nil {
		v.oldContent, err = unstructuredOf(v.oldContent, v.OldObject)
	}
	return v.content, v.oldContent, err
}

func unstructuredOf(known map[string]any, obj runtime.Object) (map[string]any, error) {
	if known != nil || obj == nil {
		return known, nil
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
}

// UserInfo is a user as AdmissionReviews have it.
func UserInfo(u *resource.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups, Extra: map[string]authenticationv1.ExtraValue{}}
	for key, values := range u.Extra {
		info.Extra[key] = values
	}
	return info
}

// Decode returns a fresh object of the kind of Object from JSON, with what it leaves out filled in. The JSON may be of anybody's
// making: what is no object of that kind is an error, and with strict set what the kind does not have, too.
func (w *World) Decode(v *Version, body []byte, strict bool) (runtime.Object, error) {
	obj := reflect.New(reflect.TypeOf(v.Object).Elem()).Interface().(runtime.Object)
	if err := decode(body, obj, strict); err != nil {
		return nil, err
	}
	if got := obj.GetObjectKind().GroupVersionKind(); got != v.As.Kind {
		return nil, fmt.Errorf("the object became a %v, it was a %v", got, v.As.Kind)
	}
	w.Default(v, obj)
	return obj, nil
}

// Default fills in what a changed object left out.
func (w *World) Default(v *Version, obj runtime.Object) {
	r := w.Resources.All().Kind(v.As.Kind)
	if typed, ok := obj.(resource.Object); ok && r != nil {
		r.Kind.Default(typed)
	}
}

func decode(body []byte, obj runtime.Object, strict bool) error {
	into := any(obj)
	content := map[string]any{}
	u, custom := obj.(*unstructured.Unstructured)
	if custom {
		into, u.Object = &content, content
	}
	if !strict {
		err := kjson.UnmarshalCaseSensitivePreserveInts(body, into)
		if custom {
			u.Object = content
		}
		return err
	}
	found, err := kjson.UnmarshalStrict(body, into)
	if custom {
		u.Object = content
	}
	if err == nil && len(found) > 0 {
		err = runtime.NewStrictDecodingError(found)
	}
	return err
}

// Keep writes the changed object of v back into the request.
func (w *World) Keep(v *Version) error {
	changed := v.Object
	if v.As.Kind != v.Attributes.Kind {
		converted, err := w.Resources.All().Convert(changed, v.As.Kind, v.Attributes.Kind)
		if err != nil {
			return err
		}
		changed = converted
	}
	// Who made the request holds the object too, so it has to stay the same one.
	into, from := reflect.ValueOf(v.Attributes.Object), reflect.ValueOf(changed)
	if into.Type() != from.Type() {
		return fmt.Errorf("a %T cannot take the place of a %T", changed, v.Attributes.Object)
	}
	into.Elem().Set(from.Elem())
	return nil
}

// maxOperations bounds a patch as those of clients are.
const maxOperations = 10000

// Patched returns what a JSON patch makes of Object; strict as for Decode.
func (w *World) Patched(v *Version, patch jsonpatch.Patch, strict bool) (runtime.Object, error) {
	if len(patch) > maxOperations {
		return nil, fmt.Errorf("the allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(patch))
	}
	before, _, err := v.JSON()
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	if len(after) > rest.MaxBody {
		return nil, fmt.Errorf("the patched object has more than %d bytes", rest.MaxBody)
	}
	return w.Decode(v, after, strict)
}

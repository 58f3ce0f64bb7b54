package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// MaxBody is the most bytes that a request's body may have, as upstream: a bit less than etcd takes.
const MaxBody = 3 << 20

// readBody reads a body of at most MaxBody bytes; RequestEntityTooLarge (413) if it has more.
func readBody(req *http.Request) ([]byte, error) {
	if req.ContentLength > MaxBody {
		return nil, tooLarge()
	}
	var buffer bytes.Buffer
	if req.ContentLength > 0 {
		buffer.Grow(int(req.ContentLength) + bytes.MinRead)
	}
	if _, err := buffer.ReadFrom(io.LimitReader(req.Body, MaxBody+1)); err != nil {
		if req.Context().Err() != nil {
			return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
		}
		return nil, apierrors.NewBadRequest("unable to read the body: " + err.Error())
	}
	if buffer.Len() > MaxBody {
		return nil, tooLarge()
	}
	return buffer.Bytes(), nil
}

func tooLarge() error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", MaxBody))
}

// strictness is what a client wants done about fields that its object should not have.
type strictness string

// check reports strict errors: as an error, as warnings or not at all.
func (s strictness) check(state *request.State, found []error) error {
	if len(found) == 0 || s == metav1.FieldValidationIgnore {
		return nil
	}
	if s == metav1.FieldValidationStrict {
		return runtime.NewStrictDecodingError(found)
	}
	for _, err := range found {
		state.Warn(err.Error())
	}
	return nil
}

// strictnessOf reads the fieldValidation option; Warn is the default.
func strictnessOf(option string) strictness {
	if option == "" {
		return metav1.FieldValidationWarn
	}
	return strictness(option)
}

// decode reads an object of the kind from a body.
func (r *Resource) decode(body []byte, format request.Format, s strictness, state *request.State) (resource.Object, error) {
	obj := r.New()
	if err := decodeInto(obj, r.GroupVersionKind, body, format, s, state, r.Custom); err != nil {
		return nil, err
	}
	return obj, nil
}

// coerce makes a custom resource fit its schema and returns what was dropped as strict errors, if wanted; c may be nil.
func (c *Custom) coerce(obj runtime.Object, s strictness) ([]error, error) {
	custom, ok := obj.(resource.Object)
	if c == nil || !ok {
		return nil, nil
	}
	unknown, err := c.Coerce(custom, s != metav1.FieldValidationIgnore)
	strict := make([]error, 0, len(unknown))
	for _, path := range unknown {
		strict = append(strict, fmt.Errorf("unknown field %q", path))
	}
	return strict, err
}

// reshape makes a custom resource that admission has changed fit its schema again.
func (r *Resource) reshape(obj resource.Object, changes []admission.Change) error {
	if r.Custom == nil || len(changes) == 0 {
		return nil
	}
	if _, err := r.Custom.Coerce(obj, false); err != nil {
		return apierrors.NewInternalError(fmt.Errorf("admission made an object that is no %s: %w", r.GroupVersionKind.Kind, err))
	}
	r.Kind.Default(obj)
	return nil
}

// decodeInto reads a body into obj, which is empty, and leaves its TypeMeta set to gvk; custom is nil for built-in kinds. Errors
// are BadRequest in upstream's words.
func decodeInto(obj runtime.Object, gvk schema.GroupVersionKind, body []byte, format request.Format, s strictness, state *request.State, custom *Custom) error {
	var found schema.GroupVersionKind
	var strict []error
	var err error
	switch format {
	case request.Protobuf:
		found, err = unmarshalProtobuf(body, obj)
	case request.YAML:
		found, strict, err = unmarshalYAML(body, obj, s != metav1.FieldValidationIgnore)
	default:
		found, strict, err = unmarshalJSON(body, obj, s != metav1.FieldValidationIgnore)
	}
	if found.Kind == "" {
		found.Kind = gvk.Kind
	}
	if found.Version == "" {
		found.Group, found.Version = gvk.Group, gvk.Version
	}
	if found.GroupVersion() != gvk.GroupVersion() {
		return apierrors.NewBadRequest(fmt.Sprintf("the API version in the data (%s) does not match the expected API version (%s)",
			found.GroupVersion(), gvk.GroupVersion()))
	}
	if err == nil && found.Kind != gvk.Kind {
		err = fmt.Errorf("it is a %s", found.Kind)
	}
	if err == nil {
		var dropped []error
		dropped, err = custom.coerce(obj, s)
		strict = append(strict, dropped...)
	}
	if err == nil {
		err = s.check(state, strict)
	}
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", found.Kind, found.Version, gvk.Kind, err))
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return nil
}

func unmarshalProtobuf(body []byte, obj runtime.Object) (schema.GroupVersionKind, error) {
	target, ok := obj.(interface{ Unmarshal([]byte) error })
	if !ok {
		return schema.GroupVersionKind{}, errors.New("the kind has no protobuf form")
	}
	raw, gvk, err := openEnvelope(body)
	if err != nil {
		return gvk, err
	}
	if gvk.Group == "apiextensions.k8s.io" { // schemas contain schemas
		if err := checkDepth(raw, maxDepth); err != nil {
			return gvk, err
		}
	}
	return gvk, target.Unmarshal(raw)
}

// openEnvelope takes the raw message out of a protobuf body.
func openEnvelope(body []byte) ([]byte, schema.GroupVersionKind, error) {
	if !bytes.HasPrefix(body, []byte("k8s\x00")) {
		return nil, schema.GroupVersionKind{}, errors.New("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(body[4:]); err != nil {
		return nil, schema.GroupVersionKind{}, err
	}
	return envelope.Raw, envelope.GroupVersionKind(), nil
}

func unmarshalYAML(body []byte, obj runtime.Object, strictly bool) (schema.GroupVersionKind, []error, error) {
	converted, err := yaml.YAMLToJSON(body)
	if err != nil {
		return schema.GroupVersionKind{}, nil, err
	}
	gvk, strict, err := unmarshalJSON(converted, obj, strictly)
	if err == nil && strictly {
		// Duplicate keys are gone from the converted form.
		if _, duplicate := yaml.YAMLToJSONStrict(body); duplicate != nil {
			strict = append([]error{duplicate}, strict...)
		}
	}
	return gvk, strict, err
}

func unmarshalJSON(body []byte, obj runtime.Object, strictly bool) (schema.GroupVersionKind, []error, error) {
	if u, ok := obj.(*unstructured.Unstructured); ok {
		var content map[string]any
		strict, err := kjson.UnmarshalStrict(body, &content)
		if err != nil {
			return schema.GroupVersionKind{}, nil, err
		}
		u.Object = content
		return u.GroupVersionKind(), strict, nil
	}
	var strict []error
	var err error
	if strictly {
		strict, err = kjson.UnmarshalStrict(body, obj)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(body, obj)
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	if err != nil && strings.Contains(err.Error(), "invalid character") && gvk.Kind == "" {
		return gvk, nil, err
	}
	return gvk, strict, err
}

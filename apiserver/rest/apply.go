package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/resource"
)

// apply serves server-side apply: the body is what its manager wants to be so, and nothing else (KEP-555).
func (r *Resource) apply(rw http.ResponseWriter, req *http.Request, w *write, body []byte, options *metav1.PatchOptions) error {
	wanted, err := r.readApplied(w, body, strictnessOf(options.FieldValidation))
	if err != nil {
		return err
	}
	force := options.Force != nil && *options.Force
	w.Verb = "apply"
	item, created, err := w.change(req.Context(), nil, w.view == nil, func(current resource.Object) (resource.Object, error) {
		return w.applied(req.Context(), current, wanted, force)
	})
	if err != nil {
		return err
	}
	code := http.StatusOK
	if created {
		code = http.StatusCreated
	}
	return r.sendItem(rw, req, code, item)
}

// readApplied reads an applied configuration and checks it against the kind's fields.
func (r *Resource) readApplied(w *write, body []byte, s strictness) (*unstructured.Unstructured, error) {
	converted, err := toJSON(body)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	wanted := &unstructured.Unstructured{}
	if err := wanted.UnmarshalJSON(converted); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
	}
	gvk := wanted.GroupVersionKind()
	if gvk.GroupVersion() != r.GroupVersionKind.GroupVersion() {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("Incorrect version specified in apply patch. Specified patch version: %s, expected: %s",
			gvk.GroupVersion(), r.GroupVersionKind.GroupVersion()))
	}
	if wanted.GetManagedFields() != nil {
		return nil, apierrors.NewBadRequest("metadata.managedFields must be nil")
	}
	if s == metav1.FieldValidationIgnore {
		return wanted, nil
	}
	if _, strict, err := unmarshalJSON(converted, r.New(), true); err == nil && len(strict) == 0 && json.Valid(body) {
		return wanted, nil
	}
	_, strict, err := unmarshalYAML(body, r.New(), true)
	if err != nil {
		return wanted, nil // the merge says better what does not fit
	}
	if err := s.check(w.state, strict); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", gvk.Kind, gvk.Version, r.GroupVersionKind.Kind, err))
	}
	return wanted, nil
}

// toJSON is for bodies that are YAML by name, and JSON nearly always.
func toJSON(body []byte) ([]byte, error) {
	if json.Valid(body) {
		return body, nil
	}
	return yaml.YAMLToJSON(body)
}

// applyFast is applied for the frequent case: an object that is there, and a configuration that changes fields and takes none
// away. Nil for all others.
func (r *Resource) applyFast(current resource.Object, wanted *unstructured.Unstructured, manager, subresource string, now time.Time) resource.Object {
	// kubectl's manager also keeps the annotation of client-side apply.
	if current == nil || manager == kubectlManager || wanted.GroupVersionKind() != r.GroupVersionKind {
		return nil
	}
	if name, given, err := unstructured.NestedString(wanted.Object, "metadata", "name"); err != nil || given && name != current.GetName() {
		return nil
	}
	if namespace, given, err := unstructured.NestedString(wanted.Object, "metadata", "namespace"); err != nil || given && namespace != current.GetNamespace() {
		return nil
	}
	fast := r.tracker(subresource)
	if fast == nil {
		return nil
	}
	owns, ordinary := fast.Owned(wanted.Object)
	if !ordinary {
		return nil
	}
	if filter := r.resetFields(subresource)[fieldpath.APIVersion(r.GroupVersionKind.GroupVersion().String())]; filter != nil {
		owns = filter.Filter(owns)
	}
	obj, altered := fast.Apply(current, wanted.Object, owns.Difference(unowned), manager, now)
	if obj == nil {
		return nil
	}
	if altered {
		r.Kind.Default(obj)
	}
	obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	return obj
}

const kubectlManager = "kubectl"

// unowned are the paths that nobody owns, though configurations have them.
var unowned = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"),
)

// applied merges the wanted configuration into the current object, nil if there is none yet.
func (w *write) applied(ctx context.Context, current resource.Object, wanted *unstructured.Unstructured, force bool) (resource.Object, error) {
	if ctx.Err() != nil {
		return nil, apierrors.NewTimeoutError("request did not complete within the allotted timeout", 0)
	}
	live := current
	if live == nil {
		if uid := wanted.GetUID(); uid != "" {
			return nil, apierrors.NewConflict(w.r.GroupResource(), w.key.Name, fmt.Errorf(
				"uid mismatch: the provided object specified uid %s, and no existing object was found", uid))
		}
		live = w.r.empty()
		live.SetName(w.key.Name)
		live.SetNamespace(w.key.Namespace)
	}
	if obj := w.r.applyFast(current, wanted, w.manager, w.subresource, w.Now); obj != nil {
		return obj, nil
	}
	m, err := w.r.fieldManager(w.subresource)
	if err != nil {
		return nil, err
	}
	merged, err := m.Apply(live, wanted.DeepCopy(), w.manager, force)
	if err != nil {
		return nil, err
	}
	obj, ok := merged.(resource.Object)
	if !ok {
		return nil, errors.New("apply made an object without metadata")
	}
	obj.GetObjectKind().SetGroupVersionKind(w.r.GroupVersionKind)
	if err := checkName(obj, w.key.Name); err != nil {
		return nil, err
	}
	return obj, w.r.fixNamespace(obj, w.key.Namespace)
}

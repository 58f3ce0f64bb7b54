package rest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// optimisticLock is the message of a Conflict over resourceVersion.
const optimisticLock = "the object has been modified; please apply your changes to the latest version and try again"

// fixNamespace gives an object the namespace of the URL; BadRequest if it says another one.
func (r *Resource) fixNamespace(obj resource.Object, namespace string) error {
	if !r.Namespaced() {
		if obj.GetNamespace() != "" {
			obj.SetNamespace("")
		}
		return nil
	}
	switch obj.GetNamespace() {
	case namespace:
	case "":
		obj.SetNamespace(namespace)
	default:
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	return nil
}

// checkName refuses an object that has no name, or another one than the URL.
func checkName(obj resource.Object, name string) error {
	switch obj.GetName() {
	case name:
		return nil
	case "":
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s based on URL) was undeterminable: name must be provided", name))
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", obj.GetName(), name))
}

// stamp fills in what the server alone sets on a new object.
func stamp(obj resource.Object, now time.Time) {
	wipe(obj)
	obj.SetCreationTimestamp(metav1.NewTime(now.Truncate(time.Second)))
	obj.SetUID(uuid.NewUUID())
}

// wipe takes out of a new object what only the server sets, so that its sender does not come to own it.
func wipe(obj resource.Object) {
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetCreationTimestamp(metav1.Time{})
	obj.SetUID("")
	obj.SetSelfLink("")
}

// dropStatus empties the status of a new object where only the status subresource may set it.
func (l *layout) dropStatus(obj resource.Object) {
	if l.unstructured {
		if u, ok := obj.(*unstructured.Unstructured); ok && l.statusView {
			delete(u.Object, "status")
		}
		return
	}
	if l.status >= 0 {
		reflect.ValueOf(obj).Elem().Field(l.status).SetZero()
	}
}

// keepStatus takes the status from old. Status is shared with old afterwards, so nobody may change it in place.
func (l *layout) keepStatus(obj, old resource.Object) {
	if l.unstructured {
		l.keepUnstructuredStatus(obj, old)
		return
	}
	if l.status >= 0 {
		reflect.ValueOf(obj).Elem().Field(l.status).Set(reflect.ValueOf(old).Elem().Field(l.status))
	}
}

func (l *layout) keepUnstructuredStatus(obj, old resource.Object) {
	to, ok := obj.(*unstructured.Unstructured)
	from, fromOK := old.(*unstructured.Unstructured)
	if !ok || !fromOK || !l.statusView {
		return
	}
	if status, has := from.Object["status"]; has {
		to.Object["status"] = runtime.DeepCopyJSONValue(status)
	} else {
		delete(to.Object, "status")
	}
}

// contentChanged says whether anything but metadata and status differs.
func (l *layout) contentChanged(obj, old resource.Object) bool {
	if l.unstructured {
		return !apiequality.Semantic.DeepEqual(l.customContent(obj), l.customContent(old))
	}
	a, b := reflect.ValueOf(obj).Elem(), reflect.ValueOf(old).Elem()
	for _, i := range l.content {
		x, y := a.Field(i).Addr().Interface(), b.Field(i).Addr().Interface()
		if !reflect.DeepEqual(x, y) && !apiequality.Semantic.DeepEqual(x, y) {
			return true
		}
	}
	return false
}

// customContent is all of a custom resource that counts for its generation; its status does unless it has a view of its own.
func (l *layout) customContent(obj resource.Object) map[string]any {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	kept := make(map[string]any, len(u.Object))
	for key, value := range u.Object {
		switch {
		case key == "metadata", key == "kind", key == "apiVersion", key == "status" && l.statusView:
		default:
			kept[key] = value
		}
	}
	return kept
}

// carry sets on an updated object what an update cannot change.
func carry(obj, old resource.Object, now time.Time) {
	if obj.GetUID() == "" {
		obj.SetUID(old.GetUID())
	}
	if created := old.GetCreationTimestamp(); created.IsZero() {
		obj.SetCreationTimestamp(metav1.NewTime(now.Truncate(time.Second)))
	} else {
		obj.SetCreationTimestamp(created)
	}
	if old.GetDeletionTimestamp() != nil {
		obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if old.GetDeletionGracePeriodSeconds() != nil && obj.GetDeletionGracePeriodSeconds() == nil {
		obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
}

var metadataPath = field.NewPath("metadata")

// validateMeta checks the metadata of a new object.
func (r *Resource) validateMeta(obj resource.Object) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaAccessor(obj, r.Namespaced(), r.ValidateName, metadataPath)
	if r.Custom == nil && !extensionGroups[r.GroupVersionKind.Group] {
		errs = append(errs, knownFinalizers(obj.GetFinalizers())...)
	}
	return append(errs, metavalidation.ValidateManagedFields(obj.GetManagedFields(), metadataPath.Child("managedFields"))...)
}

// knownFinalizers: those without a domain are Kubernetes' own.
func knownFinalizers(finalizers []string) field.ErrorList {
	var errs field.ErrorList
	for i, name := range finalizers {
		switch name {
		case metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents, "kubernetes":
			continue
		}
		if !strings.Contains(name, "/") {
			errs = append(errs, field.Invalid(metadataPath.Child("finalizers").Index(i), name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// validateMetaUpdate checks the metadata of an updated object.
func (r *Resource) validateMetaUpdate(obj, old resource.Object) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaAccessorUpdate(obj, old, metadataPath)
	group := r.GroupVersionKind.Group
	if r.Custom != nil || extensionGroups[group] {
		return errs
	}
	errs = append(errs, apivalidation.ValidateFinalizers(obj.GetFinalizers(), metadataPath.Child("finalizers"))...)
	if !looseGroups[group] && r.GroupVersionKind != coreEvent {
		errs = append(errs, knownFinalizers(obj.GetFinalizers())...)
	}
	return errs
}

// Kinds of extensionGroups may have any finalizer. Those of looseGroups, and Events, are asked for a domain on create only.
var (
	extensionGroups = map[string]bool{"apiextensions.k8s.io": true, "apiregistration.k8s.io": true}
	looseGroups     = map[string]bool{"admissionregistration.k8s.io": true, "coordination.k8s.io": true, "node.k8s.io": true, "policy": true}
	coreEvent       = schema.GroupVersionKind{Version: "v1", Kind: "Event"}
)

// repeatedOwners is what a client is told whose object names an owner twice: when, and which.
const repeatedOwners = ".metadata.ownerReferences contains duplicate entries%s; API server dedups owner references in 1.20+, " +
	"and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %s"

// afterAdmission is the first blank of repeatedOwners where admission has made them.
const afterAdmission = " after mutating admission happens"

// dedupOwners takes repeated owner references out and warns of them.
func (w *write) dedupOwners(obj resource.Object, when string) {
	owners := obj.GetOwnerReferences()
	if len(owners) < 2 {
		return
	}
	kept := make([]metav1.OwnerReference, 0, len(owners))
	var repeated []string
	for _, owner := range owners {
		if slices.ContainsFunc(kept, func(other metav1.OwnerReference) bool { return apiequality.Semantic.DeepEqual(other, owner) }) {
			repeated = append(repeated, string(owner.UID))
		} else {
			kept = append(kept, owner)
		}
	}
	if len(repeated) == 0 {
		return
	}
	obj.SetOwnerReferences(kept)
	w.state.Warn(fmt.Sprintf(repeatedOwners, when, strings.Join(repeated, ", ")))
}

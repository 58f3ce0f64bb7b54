package core

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

func validateClaim(_ *resource.Request, claim *corev1.PersistentVolumeClaim) field.ErrorList {
	return ValidateClaimSpec(&claim.Spec, specPath)
}

// ValidateClaimSpec checks a claim for storage, also one that a pod or a StatefulSet will make.
func ValidateClaimSpec(spec *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.AccessModes) == 0 {
		errs = append(errs, field.Required(path.Child("accessModes"), "at least 1 access mode is required"))
	}
	errs = append(errs, LabelSelector(spec.Selector, path.Child("selector"))...)
	errs = append(errs, checkAccessModes(spec.AccessModes, path.Child("accessModes"))...)
	at := path.Child("resources").Key("storage")
	if size, ok := spec.Resources.Requests[corev1.ResourceStorage]; ok {
		errs = append(errs, nonNegativeQuantity(size, at)...)
		errs = append(errs, positiveQuantity(size, at)...)
	} else {
		errs = append(errs, field.Required(at, ""))
	}
	if name := ptr.Deref(spec.StorageClassName, ""); name != "" {
		errs = append(errs, DNSSubdomain(name, path.Child("storageClassName"))...)
	}
	errs = append(errs, oneOfIfSet(spec.VolumeMode, path.Child("volumeMode"), corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	errs = append(errs, dataSources(spec, path)...)
	if name := ptr.Deref(spec.VolumeAttributesClassName, ""); name != "" {
		errs = append(errs, DNSSubdomain(name, path.Child("volumeAttributesClassName"))...)
	}
	return errs
}

func checkAccessModes(modes []corev1.PersistentVolumeAccessMode, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	alone, shared := false, false
	for _, mode := range modes {
		switch mode {
		case corev1.ReadWriteOncePod:
			alone = true
		case corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany:
			shared = true
		default:
			errs = append(errs, field.NotSupported(path, mode, []corev1.PersistentVolumeAccessMode{
				corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod,
			}))
		}
	}
	if alone && shared {
		errs = append(errs, field.Forbidden(path, "may not use ReadWriteOncePod with other access modes"))
	}
	return errs
}

// dataSources checks what a volume is filled with. Of the two fields for it the newer one also reaches into other namespaces.
func dataSources(spec *corev1.PersistentVolumeClaimSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	old, ref := spec.DataSource, spec.DataSourceRef
	if old != nil {
		errs = append(errs, dataSource(old.APIGroup, old.Kind, old.Name, path.Child("dataSource"))...)
	}
	if ref != nil {
		errs = append(errs, dataSource(ref.APIGroup, ref.Kind, ref.Name, path.Child("dataSourceRef"))...)
		if namespace := ptr.Deref(ref.Namespace, ""); namespace != "" {
			errs = append(errs, DNSLabel(namespace, path.Child("dataSourceRef", "namespace"))...)
			if old != nil {
				errs = append(errs, field.Invalid(path, path.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified"))
			}
			return errs
		}
	}
	if old != nil && ref != nil && (!ptr.Equal(old.APIGroup, ref.APIGroup) || old.Kind != ref.Kind || old.Name != ref.Name) {
		errs = append(errs, field.Invalid(path, path.Child("dataSource"), "must match dataSourceRef"))
	}
	return errs
}

func dataSource(group *string, kind, name string, path *field.Path) field.ErrorList {
	errs := append(given(name, path.Child("name")), given(kind, path.Child("kind"))...)
	if g := ptr.Deref(group, ""); g == "" {
		if kind != "PersistentVolumeClaim" {
			errs = append(errs, field.Invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
		}
	} else {
		errs = append(errs, invalidEach(path.Child("apiGroup"), g, validation.IsDNS1123Subdomain(g))...)
	}
	return errs
}

// validateClaimUpdate: a claim's spec is fixed, but for the volume that it gets, the size of a bound one, and its class of attributes.
func validateClaimUpdate(r *resource.Request, claim, old *corev1.PersistentVolumeClaim) field.ErrorList {
	errs := validateClaim(r, claim)
	now, before := claim.Spec.DeepCopy(), old.Spec.DeepCopy()
	if before.VolumeName == "" {
		before.VolumeName = now.VolumeName
	}
	class := corev1.BetaStorageClassAnnotation
	switch {
	case old.Annotations[class] == "" && before.StorageClassName == nil && now.StorageClassName != nil && claim.Annotations[class] == "":
		now.StorageClassName = nil // a class may be found later
	case claim.Annotations[class] == "" && old.Annotations[class] != "" && before.StorageClassName == nil && ptr.Deref(now.StorageClassName, "") == old.Annotations[class]:
		now.StorageClassName = nil // the annotation became the field
	case claim.Annotations[class] != old.Annotations[class]:
		errs = append(errs, field.Invalid(metaPath.Child("annotations", class), claim.Annotations[class], "field is immutable"))
	}
	if claim.Status.Phase == corev1.ClaimBound && now.Resources.Requests != nil {
		now.Resources.Requests = maps.Clone(now.Resources.Requests)
		now.Resources.Requests[corev1.ResourceStorage] = before.Resources.Requests[corev1.ResourceStorage]
	}
	if claim.Status.Phase == corev1.ClaimBound {
		now.VolumeAttributesClassName = before.VolumeAttributesClassName
	}
	if !apiequality.Semantic.DeepEqual(*now, *before) {
		errs = append(errs, field.Forbidden(specPath, "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"+
			diff.Diff(*before, *now)))
	}
	errs = append(errs, sizeUpdate(claim, old)...)
	errs = append(errs, Immutable(claim.Spec.VolumeMode, old.Spec.VolumeMode, field.NewPath("volumeMode"))...)
	if old.Status.CurrentVolumeAttributesClassName == nil || ptr.Equal(claim.Spec.VolumeAttributesClassName, old.Spec.VolumeAttributesClassName) {
		return errs
	}
	const still = " is forbidden when status.currentVolumeAttributesClassName is not nil" // a class can be changed, but not taken away
	switch at, class := specPath.Child("volumeAttributesClassName"), claim.Spec.VolumeAttributesClassName; {
	case class == nil:
		errs = append(errs, field.Forbidden(at, "update to nil"+still))
	case *class == "":
		errs = append(errs, field.Forbidden(at, "update to empty string"+still))
	}
	return errs
}

// sizeUpdate lets a wish for more space be taken back, down to but not onto what there is already.
func sizeUpdate(claim, old *corev1.PersistentVolumeClaim) field.ErrorList {
	now, before := claim.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
	have := old.Status.Capacity[corev1.ResourceStorage]
	if now.Cmp(before) < 0 && now.Cmp(have) <= 0 {
		return field.ErrorList{field.Forbidden(specPath.Child("resources", "requests", "storage"), "field can not be less than status.capacity")}
	}
	return nil
}

func validateClaimStatus(_ *resource.Request, claim, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var errs field.ErrorList
	for name, amount := range claim.Status.Capacity {
		errs = append(errs, nonNegativeQuantity(amount, statusPath.Child("capacity").Key(string(name)))...)
	}
	resizing := statusPath.Child("allocatedResourceStatuses")
	for name, state := range claim.Status.AllocatedResourceStatuses {
		errs = append(errs, claimResource(name, resizing)...)
		if !slices.Contains(resizeStates, state) {
			errs = append(errs, field.NotSupported(resizing, name, resizeStates)) // it names the resource, as upstream's does
		}
	}
	allocated := statusPath.Child("allocatedResources")
	for name, amount := range claim.Status.AllocatedResources {
		if wrong := claimResource(name, allocated); len(wrong) > 0 {
			errs = append(errs, wrong...)
			continue
		}
		errs = append(errs, nonNegativeQuantity(amount, allocated.Key(string(name)))...)
	}
	return errs
}

// resizeStates are how far the growth of a claim's volume can be, sorted.
var resizeStates = []corev1.ClaimResourceStatus{
	corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
	corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible, corev1.PersistentVolumeClaimNodeResizePending,
}

func claimResource(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := QualifiedName(string(name), path)
	if len(errs) == 0 && NativeResource(name) && name != corev1.ResourceStorage {
		errs = append(errs, field.NotSupported(path, name, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	return errs
}

package storage

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Limits of a class's parameters: how many there may be, and their bytes together.
const (
	maxParameters     = 512
	maxParametersSize = 256 << 10
)

func validateStorageClass(_ *resource.Request, class *storagev1.StorageClass) field.ErrorList {
	errs := provisioner(class.Provisioner, field.NewPath("provisioner"))
	errs = append(errs, parameters(class.Parameters, false, field.NewPath("parameters"))...)
	if policy := class.ReclaimPolicy; policy != nil && *policy != "" {
		errs = append(errs, core.OneOfIfSet(policy, field.NewPath("reclaimPolicy"),
			corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)...)
	}
	if at := field.NewPath("volumeBindingMode"); class.VolumeBindingMode == nil {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, core.OneOfIfSet(class.VolumeBindingMode, at, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)...)
	}
	return append(errs, topologies(class.AllowedTopologies, field.NewPath("allowedTopologies"))...)
}

// validateStorageClassUpdate: volumes were made by what the class said then.
func validateStorageClassUpdate(r *resource.Request, class, old *storagev1.StorageClass) field.ErrorList {
	errs := validateStorageClass(r, class)
	errs = append(errs, core.Immutable(class.Parameters, old.Parameters, field.NewPath("parameters"))...)
	errs = append(errs, core.Immutable(class.Provisioner, old.Provisioner, field.NewPath("provisioner"))...)
	errs = append(errs, core.Immutable(class.ReclaimPolicy, old.ReclaimPolicy, field.NewPath("reclaimPolicy"))...)
	return append(errs, core.Immutable(class.VolumeBindingMode, old.VolumeBindingMode, field.NewPath("volumeBindingMode"))...)
}

func fixed(name string) *field.Error {
	return field.Forbidden(field.NewPath(name), "updates to "+name+" are forbidden.")
}

// provisioner checks a driver's name, in which upper case is allowed.
func provisioner(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	name = strings.ToLower(name)
	return core.InvalidEach(at, name, validation.IsQualifiedName(name))
}

func parameters(list map[string]string, needed bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > maxParameters {
		errs = append(errs, field.TooLong(at, "", maxParameters))
	}
	size := 0
	for key, value := range list {
		if key == "" {
			errs = append(errs, field.Invalid(at, key, "field can not be empty."))
		}
		size += len(key) + len(value)
	}
	if size > maxParametersSize {
		errs = append(errs, field.TooLong(at, "", maxParametersSize))
	}
	if needed && len(list) == 0 {
		errs = append(errs, field.Required(at, "must contain at least one key/value pair"))
	}
	return errs
}

func topologies(terms []corev1.TopologySelectorTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	var before []map[string]sets.Set[string]
	for i, term := range terms {
		at := path.Index(i).Child("matchLabelExpressions")
		this := map[string]sets.Set[string]{}
		for j, e := range term.MatchLabelExpressions {
			errs = append(errs, topologyValues(e, at.Index(j))...)
			if _, ok := this[e.Key]; ok {
				errs = append(errs, field.Duplicate(at.Index(j).Child("key"), e.Key))
			}
			this[e.Key] = sets.New(e.Values...)
		}
		if len(this) == 0 || slices.ContainsFunc(before, func(other map[string]sets.Set[string]) bool { return apiequality.Semantic.DeepEqual(this, other) }) {
			errs = append(errs, field.Duplicate(at, "")) // a term without expressions repeats what no terms at all say
		}
		before = append(before, this)
	}
	return errs
}

func topologyValues(e corev1.TopologySelectorLabelRequirement, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(e.Values) == 0 {
		errs = append(errs, field.Required(at.Child("values"), ""))
	}
	seen := sets.New[string]()
	for i, value := range e.Values {
		if seen.Has(value) {
			errs = append(errs, field.Duplicate(at.Child("values").Index(i), value))
		}
		seen.Insert(value)
	}
	return append(errs, metav1validation.ValidateLabelName(e.Key, at.Child("key"))...)
}

func validateAttributesClass(_ *resource.Request, class *storagev1.VolumeAttributesClass) field.ErrorList {
	return append(provisioner(class.DriverName, field.NewPath("driverName")), parameters(class.Parameters, true, field.NewPath("parameters"))...)
}

func validateAttributesClassUpdate(_ *resource.Request, class, old *storagev1.VolumeAttributesClass) field.ErrorList {
	var errs field.ErrorList
	if class.DriverName != old.DriverName {
		errs = append(errs, fixed("driverName"))
	}
	if !maps.Equal(class.Parameters, old.Parameters) {
		errs = append(errs, fixed("parameters"))
	}
	return append(errs, validateAttributesClass(nil, class)...)
}

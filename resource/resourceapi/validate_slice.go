package resourceapi

import (
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateSlice(_ *resource.Request, s *resourcev1.ResourceSlice) field.ErrorList {
	spec := &s.Spec
	errs := core.CSIDriverName(spec.Driver, specPath.Child("driver"))
	errs = append(errs, pool(&spec.Pool, specPath.Child("pool"))...)
	where := 0
	for _, given := range []bool{spec.NodeName != nil, spec.NodeSelector != nil, ptr.Deref(spec.AllNodes, false), ptr.Deref(spec.PerDeviceNodeSelection, false)} {
		if given {
			where++
		}
	}
	const one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	switch {
	case where == 0:
		errs = append(errs, field.Required(specPath, one))
	case where > 1:
		errs = append(errs, field.Invalid(specPath, nil, one+", but multiple fields are set"))
	}
	if spec.NodeName != nil {
		errs = append(errs, core.DNSSubdomain(*spec.NodeName, specPath.Child("nodeName"))...)
	}
	if spec.NodeSelector != nil {
		errs = append(errs, core.NodeSelector(spec.NodeSelector, specPath.Child("nodeSelector"))...)
	}
	return append(errs, devices(spec.Devices, specPath.Child("devices"))...)
}

func pool(p *resourcev1.ResourcePool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	if p.ResourceSliceCount <= 0 {
		errs = append(errs, field.Invalid(at.Child("resourceSliceCount"), p.ResourceSliceCount, "must be greater than zero"))
	}
	return append(errs, core.NonNegative(p.Generation, at.Child("generation"))...)
}

func devices(list []resourcev1.Device, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > resourcev1.ResourceSliceMaxDevices {
		return field.ErrorList{field.TooMany(path, len(list), resourcev1.ResourceSliceMaxDevices)}
	}
	for i := range list {
		errs = append(errs, name(list[i].Name, path.Index(i).Child("name"))...)
		if slices.ContainsFunc(list[:i], func(d resourcev1.Device) bool { return d.Name == list[i].Name }) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("name"), list[i].Name))
		}
	}
	return errs
}

// validateSliceUpdate: a slice stays with its driver, its pool and its node.
func validateSliceUpdate(r *resource.Request, s, old *resourcev1.ResourceSlice) field.ErrorList {
	errs := validateSlice(r, s)
	errs = append(errs, core.Immutable(s.Spec.Driver, old.Spec.Driver, specPath.Child("driver"))...)
	errs = append(errs, core.Immutable(s.Spec.Pool.Name, old.Spec.Pool.Name, specPath.Child("pool", "name"))...)
	return append(errs, core.Immutable(s.Spec.NodeName, old.Spec.NodeName, specPath.Child("nodeName"))...)
}

package resourceapi

import (
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func validateClaim(_ *resource.Request, c *resourcev1.ResourceClaim) field.ErrorList {
	return claimSpec(&c.Spec, specPath)
}

func validateClaimUpdate(r *resource.Request, c, old *resourcev1.ResourceClaim) field.ErrorList {
	return append(core.Immutable(c.Spec, old.Spec, specPath), validateClaim(r, c)...)
}

func validateTemplate(_ *resource.Request, t *resourcev1.ResourceClaimTemplate) field.ErrorList {
	return claimSpec(&t.Spec.Spec, specPath.Child("spec"))
}

func validateTemplateUpdate(r *resource.Request, t, old *resourcev1.ResourceClaimTemplate) field.ErrorList {
	return append(core.Immutable(t.Spec, old.Spec, specPath), validateTemplate(r, t)...)
}

func validateClass(_ *resource.Request, c *resourcev1.DeviceClass) field.ErrorList {
	return selectors(c.Spec.Selectors, specPath.Child("selectors"))
}

func validateClassUpdate(r *resource.Request, c, _ *resourcev1.DeviceClass) field.ErrorList {
	return validateClass(r, c)
}

// validateClaimStatus: what is allocated stays until it is let go, and only what is allocated can be reserved.
func validateClaimStatus(_ *resource.Request, c, old *resourcev1.ResourceClaim) field.ErrorList {
	var errs field.ErrorList
	reserved := statusPath.Child("reservedFor")
	if n := len(c.Status.ReservedFor); n > resourcev1.ResourceClaimReservedForMaxSize {
		errs = append(errs, field.TooMany(reserved, n, resourcev1.ResourceClaimReservedForMaxSize))
	}
	if len(c.Status.ReservedFor) > 0 && c.Status.Allocation == nil {
		errs = append(errs, field.Forbidden(reserved, "may not be specified when `allocated` is not set"))
	}
	if c.Status.Allocation != nil && old.Status.Allocation != nil {
		errs = append(errs, core.Immutable(c.Status.Allocation, old.Status.Allocation, statusPath.Child("allocation"))...)
	}
	return errs
}

func claimSpec(spec *resourcev1.ResourceClaimSpec, path *field.Path) field.ErrorList {
	at, list := path.Child("devices", "requests"), spec.Devices.Requests
	var errs field.ErrorList
	if len(list) > resourcev1.DeviceRequestsMaxSize {
		errs = append(errs, field.TooMany(at, len(list), resourcev1.DeviceRequestsMaxSize))
	}
	for i := range list {
		errs = append(errs, request(&list[i], at.Index(i))...)
		if slices.ContainsFunc(list[:i], func(r resourcev1.DeviceRequest) bool { return r.Name == list[i].Name }) {
			errs = append(errs, field.Duplicate(at.Index(i).Child("name"), list[i].Name))
		}
	}
	return errs
}

func request(r *resourcev1.DeviceRequest, at *field.Path) field.ErrorList {
	errs := name(r.Name, at.Child("name"))
	switch exact, first := r.Exactly != nil, len(r.FirstAvailable) > 0; {
	case exact && first:
		errs = append(errs, field.Invalid(at, nil, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"))
	case exact:
		at := at.Child("exactly")
		errs = append(errs, wanted(r.Exactly.DeviceClassName, r.Exactly.AllocationMode, r.Exactly.Count, at)...)
		errs = append(errs, selectors(r.Exactly.Selectors, at.Child("selectors"))...)
	case first:
		errs = append(errs, alternatives(r.FirstAvailable, at.Child("firstAvailable"))...)
	default:
		errs = append(errs, field.Required(at, "exactly one of `exactly` or `firstAvailable` is required"))
	}
	return errs
}

func alternatives(list []resourcev1.DeviceSubRequest, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > resourcev1.FirstAvailableDeviceRequestMaxSize {
		errs = append(errs, field.TooMany(path, len(list), resourcev1.FirstAvailableDeviceRequestMaxSize))
	}
	for i, sub := range list {
		at := path.Index(i)
		errs = append(errs, name(sub.Name, at.Child("name"))...)
		errs = append(errs, wanted(sub.DeviceClassName, sub.AllocationMode, sub.Count, at)...)
		errs = append(errs, selectors(sub.Selectors, at.Child("selectors"))...)
		if slices.ContainsFunc(list[:i], func(o resourcev1.DeviceSubRequest) bool { return o.Name == sub.Name }) {
			errs = append(errs, field.Duplicate(at.Child("name"), sub.Name))
		}
	}
	return errs
}

// wanted checks of which class devices are asked for, and how many.
func wanted(class string, mode resourcev1.DeviceAllocationMode, count int64, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if class == "" {
		errs = append(errs, field.Required(at.Child("deviceClassName"), ""))
	} else {
		errs = append(errs, core.DNSSubdomain(class, at.Child("deviceClassName"))...)
	}
	switch {
	case mode == resourcev1.DeviceAllocationModeAll && count != 0:
		errs = append(errs, field.Invalid(at.Child("count"), count, "must not be specified when allocationMode is 'All'"))
	case mode == resourcev1.DeviceAllocationModeExactCount && count <= 0:
		errs = append(errs, field.Invalid(at.Child("count"), count, "must be greater than zero"))
	}
	return append(errs, core.OneOfIfSet(&mode, at.Child("allocationMode"), resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount)...)
}

// selectors checks that expressions are there; the scheduler compiles them.
func selectors(list []resourcev1.DeviceSelector, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) > resourcev1.DeviceSelectorsMaxSize {
		errs = append(errs, field.TooMany(path, len(list), resourcev1.DeviceSelectorsMaxSize))
	}
	for i, s := range list {
		at := path.Index(i).Child("cel")
		switch {
		case s.CEL == nil:
			errs = append(errs, field.Required(at, ""))
		case s.CEL.Expression == "":
			errs = append(errs, field.Required(at.Child("expression"), ""))
		case len(s.CEL.Expression) > resourcev1.CELSelectorExpressionMaxLength:
			errs = append(errs, field.TooLong(at.Child("expression"), "", resourcev1.CELSelectorExpressionMaxLength))
		}
	}
	return errs
}

func name(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return core.DNSLabel(value, at)
}

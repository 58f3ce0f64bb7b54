package resourceapi

import (
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
	"github.com/septet-io/septet/resource/expression"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func validateClaim(_ *resource.Request, c *resourcev1.ResourceClaim) field.ErrorList {
	return claimSpec(&c.Spec, specPath)
}

// validateClaimUpdate: a claim's spec is fixed, so there is nothing else to say about it.
func validateClaimUpdate(_ *resource.Request, c, old *resourcev1.ResourceClaim) field.ErrorList {
	return core.Immutable(c.Spec, old.Spec, specPath)
}

func validateTemplate(_ *resource.Request, t *resourcev1.ResourceClaimTemplate) field.ErrorList {
	errs := core.TemplateMeta(&t.Spec.ObjectMeta, specPath.Child("metadata"))
	return append(errs, claimSpec(&t.Spec.Spec, specPath.Child("spec"))...)
}

func validateTemplateUpdate(r *resource.Request, t, old *resourcev1.ResourceClaimTemplate) field.ErrorList {
	return append(validateTemplate(r, t), core.Immutable(t.Spec, old.Spec, specPath)...)
}

func claimSpec(spec *resourcev1.ResourceClaimSpec, path *field.Path) field.ErrorList {
	devices, at := &spec.Devices, path.Child("devices")
	errs := each(devices.Requests, resourcev1.DeviceRequestsMaxSize, at.Child("requests"), request)
	errs = append(errs, unique(devices.Requests, at.Child("requests"), func(r *resourcev1.DeviceRequest) string { return r.Name })...)
	errs = append(errs, each(devices.Constraints, resourcev1.DeviceConstraintsMaxSize, at.Child("constraints"),
		func(c *resourcev1.DeviceConstraint, at *field.Path) field.ErrorList {
			return constraint(c, devices, at)
		})...)
	return append(errs, each(devices.Config, resourcev1.DeviceConfigMaxSize, at.Child("config"),
		func(c *resourcev1.DeviceClaimConfiguration, at *field.Path) field.ErrorList {
			return append(references(c.Requests, devices, at.Child("requests")), configuration(&c.DeviceConfiguration, at)...)
		})...)
}

// each checks a list of bounded length. Of one that is too long nothing else is said.
func each[T any](list []T, most int, path *field.Path, check func(*T, *field.Path) field.ErrorList) field.ErrorList {
	if most >= 0 && len(list) > most {
		return field.ErrorList{field.TooMany(path, len(list), most)}
	}
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, check(&list[i], path.Index(i))...)
	}
	return errs
}

// unique refuses entries with the same key.
func unique[T any, K comparable](list []T, path *field.Path, key func(*T) K) field.ErrorList {
	seen := map[K]bool{}
	var errs field.ErrorList
	for i := range list {
		k := key(&list[i])
		if seen[k] {
			errs = append(errs, field.Duplicate(path.Index(i), k))
		}
		seen[k] = true
	}
	return errs
}

func same(s *string) string { return *s }

func request(r *resourcev1.DeviceRequest, at *field.Path) field.ErrorList {
	errs := core.DNSLabel(r.Name, at.Child("name"))
	switch exact, first := r.Exactly != nil, len(r.FirstAvailable) > 0; {
	case exact && first:
		errs = append(errs, field.Invalid(at, nil, "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"))
	case exact:
		at, e := at.Child("exactly"), r.Exactly
		errs = append(errs, wanted(e.DeviceClassName, e.AllocationMode, e.Count, e.Selectors, e.Tolerations, at)...)
	case first:
		at := at.Child("firstAvailable")
		errs = append(errs, each(r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize, at, alternative)...)
		errs = append(errs, unique(r.FirstAvailable, at, func(s *resourcev1.DeviceSubRequest) string { return s.Name })...)
	default:
		errs = append(errs, field.Required(at, "exactly one of `exactly` or `firstAvailable` is required"))
	}
	return errs
}

func alternative(s *resourcev1.DeviceSubRequest, at *field.Path) field.ErrorList {
	errs := core.DNSLabel(s.Name, at.Child("name"))
	return append(errs, wanted(s.DeviceClassName, s.AllocationMode, s.Count, s.Selectors, s.Tolerations, at)...)
}

// wanted checks of which class devices are asked for, how many, and which.
func wanted(class string, mode resourcev1.DeviceAllocationMode, count int64, chosen []resourcev1.DeviceSelector, tolerations []resourcev1.DeviceToleration, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if class == "" {
		errs = append(errs, field.Required(at.Child("deviceClassName"), ""))
	} else {
		errs = append(errs, core.DNSSubdomain(class, at.Child("deviceClassName"))...)
	}
	errs = append(errs, selectors(chosen, nil, at.Child("selectors"))...)
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			errs = append(errs, field.Invalid(at.Child("count"), count, "must not be specified when allocationMode is 'All'"))
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			errs = append(errs, field.Invalid(at.Child("count"), count, "must be greater than zero"))
		}
	default:
		errs = append(errs, core.OneOfIfSet(&mode, at.Child("allocationMode"), resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount)...)
	}
	return append(errs, each(tolerations, -1, at.Child("tolerations"), toleration)...)
}

// selectors checks expressions; those in before stand in storage already, where a newer server may have written them.
func selectors(list []resourcev1.DeviceSelector, before []string, path *field.Path) field.ErrorList {
	return each(list, resourcev1.DeviceSelectorsMaxSize, path, func(s *resourcev1.DeviceSelector, at *field.Path) field.ErrorList {
		if s.CEL == nil {
			return field.ErrorList{field.Required(at.Child("cel"), "")}
		}
		mode := expression.New
		if slices.Contains(before, s.CEL.Expression) {
			mode = expression.Stored
		}
		return condition(s.CEL.Expression, mode, at.Child("cel", "expression"))
	})
}

// condition checks one expression: that it compiles, and that it cannot take too long.
func condition(text string, mode expression.Mode, at *field.Path) field.ErrorList {
	if len(text) > resourcev1.CELSelectorExpressionMaxLength {
		return field.ErrorList{field.TooLong(at, "", resourcev1.CELSelectorExpressionMaxLength)}
	}
	switch program, cost := expression.CompileDevices(text, mode); {
	case program.Err != nil && program.Err.Type == cel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, text, program.Err.Detail)}
	case program.Err != nil:
		return field.ErrorList{field.InternalError(at, program.Err)}
	case cost > resourcev1.CELSelectorExpressionMaxCost:
		return field.ErrorList{field.Forbidden(at, "too complex, exceeds cost limit")}
	}
	return nil
}

func toleration(t *resourcev1.DeviceToleration, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Key != "" {
		errs = append(errs, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
	}
	switch t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if t.Value != "" {
			errs = append(errs, field.Invalid(at.Child("value"), t.Value, "must be empty for operator `Exists`"))
		}
	case resourcev1.DeviceTolerationOpEqual:
		errs = append(errs, core.InvalidEach(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
	default:
		errs = append(errs, core.OneOf(t.Operator, at.Child("operator"), resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists)...)
	}
	if t.Effect != "" {
		errs = append(errs, effect(t.Effect, at.Child("effect"))...)
	}
	return errs
}

func effect(e resourcev1.DeviceTaintEffect, at *field.Path) field.ErrorList {
	return core.OneOf(e, at, resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone)
}

// constraint checks what must be alike or different among the devices of some requests.
func constraint(c *resourcev1.DeviceConstraint, devices *resourcev1.DeviceClaim, at *field.Path) field.ErrorList {
	errs := references(c.Requests, devices, at.Child("requests"))
	switch {
	case c.MatchAttribute != nil:
		errs = append(errs, fullName(string(*c.MatchAttribute), at.Child("matchAttribute"))...)
	case c.DistinctAttribute != nil:
		errs = append(errs, fullName(string(*c.DistinctAttribute), at.Child("distinctAttribute"))...)
	default:
		errs = append(errs, field.Required(at, `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`))
	}
	return errs
}

// references checks a list of names of requests.
func references(list []string, devices *resourcev1.DeviceClaim, path *field.Path) field.ErrorList {
	errs := each(list, resourcev1.DeviceRequestsMaxSize, path, func(name *string, at *field.Path) field.ErrorList { return reference(*name, devices, at) })
	if len(list) <= resourcev1.DeviceRequestsMaxSize {
		errs = append(errs, unique(list, path, same)...)
	}
	return errs
}

// reference checks a name of a request, or of one of its alternatives: request/alternative.
func reference(name string, devices *resourcev1.DeviceClaim, at *field.Path) field.ErrorList {
	unknown := field.Invalid(at, name, "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'")
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		return field.ErrorList{unknown}
	}
	var errs field.ErrorList
	for _, part := range parts {
		errs = append(errs, core.DNSLabel(part, at)...)
	}
	known := slices.ContainsFunc(devices.Requests, func(r resourcev1.DeviceRequest) bool {
		return r.Name == parts[0] && (len(parts) == 1 ||
			slices.ContainsFunc(r.FirstAvailable, func(s resourcev1.DeviceSubRequest) bool { return s.Name == parts[1] }))
	})
	if !known {
		errs = append(errs, unknown)
	}
	return errs
}

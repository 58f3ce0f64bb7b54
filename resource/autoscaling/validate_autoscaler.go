package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func validateAutoscaler(_ *resource.Request, hpa *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := autoscalerSpec(hpa)
	return append(errs, groupOf(hpa.Spec.ScaleTargetRef, true, specPath.Child("scaleTargetRef", "apiVersion"))...)
}

func autoscalerSpec(hpa *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	spec := &hpa.Spec
	least, most := spec.MinReplicas, spec.MaxReplicas
	var errs field.ErrorList
	if least != nil && *least < 1 {
		errs = append(errs, field.Invalid(specPath.Child("minReplicas"), *least, "must be greater than or equal to 1"))
	}
	switch {
	case most == 0:
		errs = append(errs, field.Required(specPath.Child("maxReplicas"), "must be set and greater than 0"))
	case most < 0:
		errs = append(errs, field.Invalid(specPath.Child("maxReplicas"), most, "must be greater than or equal to 1"))
	}
	if least != nil && most < *least {
		errs = append(errs, field.Invalid(specPath.Child("maxReplicas"), most, "must be greater than or equal to `minReplicas`"))
	}
	errs = append(errs, scaled(spec.ScaleTargetRef, specPath.Child("scaleTargetRef"))...)
	errs = append(errs, metrics(spec.Metrics, specPath.Child("metrics"))...)
	if behavior := spec.Behavior; behavior != nil {
		errs = append(errs, scalingRules(behavior.ScaleUp, specPath.Child("behavior", "scaleUp"))...)
		errs = append(errs, scalingRules(behavior.ScaleDown, specPath.Child("behavior", "scaleDown"))...)
	}
	return errs
}

// validateAutoscalerUpdate lets a target's version be whose like was stored before it was checked.
func validateAutoscalerUpdate(_ *resource.Request, hpa, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := autoscalerSpec(hpa)
	before, at := old.Spec.ScaleTargetRef, specPath.Child("scaleTargetRef", "apiVersion")
	if len(groupOf(before, false, at)) > 0 {
		return errs
	}
	strict := len(groupOf(before, true, at)) == 0
	return append(errs, groupOf(hpa.Spec.ScaleTargetRef, strict, at)...)
}

// groupOf checks that a reference's version can be read, and that it names a group where that is needed.
func groupOf(ref autoscalingv2.CrossVersionObjectReference, needed bool, at *field.Path) field.ErrorList {
	version, err := schema.ParseGroupVersion(ref.APIVersion)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, ref.APIVersion, err.Error())}
	case needed && version.Group == "":
		return field.ErrorList{field.Invalid(at, ref.APIVersion, "apiVersion must specify API group")}
	}
	return nil
}

func validateAutoscalerStatus(_ *resource.Request, hpa, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := core.NonNegative(hpa.Status.CurrentReplicas, statusPath.Child("currentReplicas"))
	return append(errs, core.NonNegative(hpa.Status.DesiredReplicas, statusPath.Child("desiredReplicas"))...)
}

// The older version is checked as what it means in the newer one: clients see paths of that.

func validateAutoscalerV1(r *resource.Request, hpa *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscaler(r, upgrade(hpa))
}

func validateAutoscalerV1Update(r *resource.Request, hpa, old *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscalerUpdate(r, upgrade(hpa), upgrade(old))
}

func validateAutoscalerV1Status(r *resource.Request, hpa, _ *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscalerStatus(r, upgrade(hpa), nil)
}

// scaled checks that an object is named by its kind and name.
func scaled(ref autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	return append(segment(ref.Kind, "", at.Child("kind")), segment(ref.Name, "", at.Child("name"))...)
}

// segment demands a text that can be a part of a URL path.
func segment(value, missing string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, missing)}
	}
	return core.InvalidEach(at, value, path.IsValidPathSegmentName(value))
}

// Limits of a behavior, in seconds.
const (
	maxStabilization = 3600
	maxPeriod        = 1800
)

func scalingRules(rules *autoscalingv2.HPAScalingRules, at *field.Path) field.ErrorList {
	if rules == nil {
		return nil
	}
	var errs field.ErrorList
	if window := rules.StabilizationWindowSeconds; window != nil {
		if *window < 0 {
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), window, "must be greater than or equal to zero"))
		}
		if *window > maxStabilization {
			errs = append(errs, field.Invalid(at.Child("stabilizationWindowSeconds"), window, "must be less than or equal to 3600"))
		}
	}
	errs = append(errs, core.OneOfIfSet(rules.SelectPolicy, at.Child("selectPolicy"),
		autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)...)
	if len(rules.Policies) == 0 {
		errs = append(errs, field.Required(at.Child("policies"), "must specify at least one Policy"))
	}
	for i, policy := range rules.Policies {
		errs = append(errs, scalingPolicy(policy, at.Child("policies").Index(i))...)
	}
	if tolerance := rules.Tolerance; tolerance != nil && tolerance.Sign() < 0 {
		errs = append(errs, field.Invalid(at.Child("tolerance"), tolerance.String(), "must be greater than or equal to 0"))
	}
	return errs
}

func scalingPolicy(policy autoscalingv2.HPAScalingPolicy, at *field.Path) field.ErrorList {
	errs := core.OneOfIfSet(&policy.Type, at.Child("type"), autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)
	if policy.Value <= 0 {
		errs = append(errs, field.Invalid(at.Child("value"), policy.Value, "must be greater than zero"))
	}
	if policy.PeriodSeconds <= 0 {
		errs = append(errs, field.Invalid(at.Child("periodSeconds"), policy.PeriodSeconds, "must be greater than zero"))
	}
	if policy.PeriodSeconds > maxPeriod {
		errs = append(errs, field.Invalid(at.Child("periodSeconds"), policy.PeriodSeconds, "must be less than or equal to 1800"))
	}
	return errs
}

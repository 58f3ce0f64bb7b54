package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func validateAutoscaler(_ *resource.Request, hpa *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	spec := &hpa.Spec
	least, most := spec.MinReplicas, spec.MaxReplicas
	var errs field.ErrorList
	if least != nil && *least < 1 {
		errs = append(errs, field.Invalid(specPath.Child("minReplicas"), *least, "must be greater than or equal to 1"))
	}
	if most < 1 {
		errs = append(errs, field.Invalid(specPath.Child("maxReplicas"), most, "must be greater than 0"))
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

func validateAutoscalerUpdate(r *resource.Request, hpa, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscaler(r, hpa)
}

func validateAutoscalerStatus(_ *resource.Request, hpa, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := core.NonNegative(hpa.Status.CurrentReplicas, statusPath.Child("currentReplicas"))
	return append(errs, core.NonNegative(hpa.Status.DesiredReplicas, statusPath.Child("desiredReplicas"))...)
}

// The older version is checked as what it means in the newer one: clients see paths of that.

func validateAutoscalerV1(r *resource.Request, hpa *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscaler(r, upgrade(hpa))
}

func validateAutoscalerV1Update(r *resource.Request, hpa, _ *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscalerV1(r, hpa)
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

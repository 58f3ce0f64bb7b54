package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

// Bounds of the policies for failure and success, as upstream.
const (
	maxPolicyRules      = 20
	maxPolicyConditions = 20
	maxPolicyExitCodes  = 255
	maxSucceededIndexes = 64 << 10
)

// failurePolicy checks what is done about pods that fail in a certain way (KEP-3329).
func failurePolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range spec.Template.Spec.Containers {
		names.Insert(spec.Template.Spec.Containers[i].Name)
	}
	for i := range spec.Template.Spec.InitContainers {
		names.Insert(spec.Template.Spec.InitContainers[i].Name)
	}
	rules := spec.PodFailurePolicy.Rules
	if len(rules) > maxPolicyRules {
		errs = append(errs, field.TooMany(path.Child("rules"), len(rules), maxPolicyRules))
	}
	for i := range rules {
		errs = append(errs, failureRule(spec, &rules[i], names, path.Child("rules").Index(i))...)
	}
	return errs
}

var failureActions = []batchv1.PodFailurePolicyAction{
	batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
	batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore,
}

func failureRule(spec *batchv1.JobSpec, rule *batchv1.PodFailurePolicyRule, names sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch at := path.Child("action"); {
	case rule.Action == "":
		errs = append(errs, field.Required(at, fmt.Sprintf("valid values: %q", failureActions)))
	case !slices.Contains(failureActions, rule.Action):
		errs = append(errs, field.NotSupported(at, rule.Action, failureActions))
	case rule.Action == batchv1.PodFailurePolicyActionFailIndex && spec.BackoffLimitPerIndex == nil:
		errs = append(errs, field.Invalid(at, rule.Action, "requires the backoffLimitPerIndex to be set"))
	}
	if rule.OnExitCodes != nil {
		errs = append(errs, exitCodes(rule.OnExitCodes, names, path.Child("onExitCodes"))...)
	}
	if len(rule.OnPodConditions) > 0 {
		errs = append(errs, podConditions(rule.OnPodConditions, path.Child("onPodConditions"))...)
	}
	switch codes, conditions := rule.OnExitCodes != nil, len(rule.OnPodConditions) > 0; {
	case codes && conditions:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
	case !codes && !conditions:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
	}
	return errs
}

func exitCodes(r *batchv1.PodFailurePolicyOnExitCodesRequirement, names sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	operators := []batchv1.PodFailurePolicyOnExitCodesOperator{batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn}
	if r.Operator == "" {
		errs = append(errs, field.Required(path.Child("operator"), fmt.Sprintf("valid values: %q", operators)))
	} else {
		errs = append(errs, core.OneOf(r.Operator, path.Child("operator"), operators...)...)
	}
	if r.ContainerName != nil && !names.Has(*r.ContainerName) {
		errs = append(errs, field.Invalid(path.Child("containerName"), *r.ContainerName, "must be one of the container or initContainer names in the pod template"))
	}
	values := path.Child("values")
	switch {
	case len(r.Values) == 0:
		errs = append(errs, field.Invalid(values, r.Values, "at least one value is required"))
	case len(r.Values) > maxPolicyExitCodes:
		errs = append(errs, field.TooMany(values, len(r.Values), maxPolicyExitCodes))
	}
	seen := sets.New[int32]()
	for i, code := range r.Values {
		if r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && code == 0 {
			errs = append(errs, field.Invalid(values.Index(i), code, "must not be 0 for the In operator"))
		}
		if seen.Has(code) {
			errs = append(errs, field.Duplicate(values.Index(i), code))
		}
		seen.Insert(code)
	}
	if !slices.IsSorted(r.Values) {
		errs = append(errs, field.Invalid(values, r.Values, "must be ordered"))
	}
	return errs
}

func podConditions(patterns []batchv1.PodFailurePolicyOnPodConditionsPattern, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(patterns) > maxPolicyConditions {
		errs = append(errs, field.TooMany(path, len(patterns), maxPolicyConditions))
	}
	values := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
	for i, p := range patterns {
		at := path.Index(i)
		errs = append(errs, core.QualifiedName(string(p.Type), at.Child("type"))...)
		if p.Status == "" {
			errs = append(errs, field.Required(at.Child("status"), fmt.Sprintf("valid values: %q", values)))
		} else {
			errs = append(errs, core.OneOf(p.Status, at.Child("status"), values...)...)
		}
	}
	return errs
}

// successPolicy checks when an indexed job is done before all of its indexes are (KEP-3998).
func successPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	rules, at := spec.SuccessPolicy.Rules, path.Child("rules")
	var errs field.ErrorList
	if len(rules) == 0 {
		errs = append(errs, field.Required(at, "at least one rules must be specified when the successPolicy is specified"))
	}
	if len(rules) > maxPolicyRules {
		errs = append(errs, field.TooMany(at, len(rules), maxPolicyRules))
	}
	for i := range rules {
		errs = append(errs, successRule(spec, &rules[i], at.Index(i))...)
	}
	return errs
}

func successRule(spec *batchv1.JobSpec, rule *batchv1.SuccessPolicyRule, path *field.Path) field.ErrorList {
	if rule.SucceededIndexes == nil && rule.SucceededCount == nil {
		return field.ErrorList{field.Required(path, "at least one of succeededCount or succeededIndexes must be specified")}
	}
	var errs field.ErrorList
	var all int32
	if spec.Completions != nil {
		all = *spec.Completions
	}
	total := int32(-1)
	if list := rule.SucceededIndexes; list != nil {
		at := path.Child("succeededIndexes")
		if len(*list) > maxSucceededIndexes {
			errs = append(errs, field.TooLong(at, *list, maxSucceededIndexes))
		}
		n, err := countIndexes(*list, all)
		if err != nil {
			errs = append(errs, field.Invalid(at, *list, "error parsing succeededIndexes: "+err.Error()))
		} else {
			total = n
		}
	}
	if n := rule.SucceededCount; n != nil {
		at := path.Child("succeededCount")
		errs = append(errs, core.NonNegative(*n, at)...)
		if *n > all {
			errs = append(errs, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", all)))
		}
		if total >= 0 && *n > total {
			errs = append(errs, field.Invalid(at, *n,
				fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", total)))
		}
	}
	return errs
}

package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	unversioned "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateBudget(_ *resource.Request, budget *policyv1.PodDisruptionBudget) field.ErrorList {
	spec, path := &budget.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		errs = append(errs, field.Invalid(path, *spec, "minAvailable and maxUnavailable cannot be both set"))
	}
	errs = append(errs, share(spec.MinAvailable, path.Child("minAvailable"))...)
	errs = append(errs, share(spec.MaxUnavailable, path.Child("maxUnavailable"))...)
	errs = append(errs, core.LabelSelector(spec.Selector, path.Child("selector"))...)
	return append(errs, core.OneOfIfSet(spec.UnhealthyPodEvictionPolicy, path.Child("unhealthyPodEvictionPolicy"),
		policyv1.AlwaysAllow, policyv1.IfHealthyBudget)...)
}

func validateBudgetUpdate(r *resource.Request, budget, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	return validateBudget(r, budget)
}

// share checks a number of pods, or a percentage of at most all of them.
func share(s *intstr.IntOrString, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	if s.Type == intstr.Int {
		return core.NonNegative(s.IntVal, path)
	}
	if wrong := validation.IsValidPercent(s.StrVal); len(wrong) > 0 {
		return core.InvalidEach(path, *s, wrong)
	}
	if n, err := intstr.GetScaledValueFromIntOrPercent(s, 100, false); err != nil || n > 100 {
		return field.ErrorList{field.Invalid(path, *s, "must not be greater than 100%")}
	}
	return nil
}

func validateBudgetStatus(_ *resource.Request, budget, _ *policyv1.PodDisruptionBudget) field.ErrorList {
	status, path := &budget.Status, field.NewPath("status")
	errs := unversioned.ValidateConditions(status.Conditions, path.Child("conditions"))
	errs = append(errs, core.NonNegative(status.DisruptionsAllowed, path.Child("disruptionsAllowed"))...)
	errs = append(errs, core.NonNegative(status.CurrentHealthy, path.Child("currentHealthy"))...)
	errs = append(errs, core.NonNegative(status.DesiredHealthy, path.Child("desiredHealthy"))...)
	return append(errs, core.NonNegative(status.ExpectedPods, path.Child("expectedPods"))...)
}

package admissionregistration

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateMutatingPolicy(_ *resource.Request, p *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
	spec := &p.Spec
	errs := failurePolicy(spec.FailurePolicy)
	errs = append(errs, kindOfParams(spec.ParamKind, specPath.Child("paramKind"))...)
	errs = append(errs, constraints(spec.MatchConstraints)...)
	errs = append(errs, matchConditions(spec.MatchConditions, specPath.Child("matchConditions"))...)
	at := specPath.Child("mutations")
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(at, "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		errs = append(errs, mutation(&spec.Mutations[i], at.Index(i))...)
	}
	return append(errs, core.OneOf(spec.ReinvocationPolicy, specPath.Child("reinvocationPolicy"),
		admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy)...)
}

func validateMutatingPolicyUpdate(r *resource.Request, p, _ *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
	return validateMutatingPolicy(r, p)
}

// mutation checks that there is an expression of the type named, and no other.
func mutation(m *admissionv1.Mutation, path *field.Path) field.ErrorList {
	errs := core.OneOf(m.PatchType, path.Child("patchType"), admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)
	check := func(mine, given bool, expression, name string) {
		switch at := path.Child(name); {
		case mine && !given:
			errs = append(errs, field.Required(at, "must be specified when patchType is "+string(m.PatchType)))
		case mine && strings.TrimSpace(expression) == "":
			errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
		case !mine && given:
			errs = append(errs, field.Forbidden(at, "must not be specified when patchType is "+string(m.PatchType)))
		}
	}
	var apply, patch string
	if m.ApplyConfiguration != nil {
		apply = m.ApplyConfiguration.Expression
	}
	if m.JSONPatch != nil {
		patch = m.JSONPatch.Expression
	}
	check(m.PatchType == admissionv1.PatchTypeApplyConfiguration, m.ApplyConfiguration != nil, apply, "applyConfiguration")
	check(m.PatchType == admissionv1.PatchTypeJSONPatch, m.JSONPatch != nil, patch, "jsonPatch")
	return errs
}

func validateMutatingBinding(_ *resource.Request, b *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return bound(b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)
}

func validateMutatingBindingUpdate(r *resource.Request, b, _ *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return validateMutatingBinding(r, b)
}

package admissionregistration

import (
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
	"github.com/septet-io/septet/resource/expression"
)

func validateMutatingPolicy(_ *resource.Request, p *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
	return mutatingPolicy(p, nil)
}

func validateMutatingPolicyUpdate(_ *resource.Request, p, old *admissionv1.MutatingAdmissionPolicy) field.ErrorList {
	before := append(conditionsIn(old.Spec.MatchConditions), variablesIn(old.Spec.Variables)...)
	for _, m := range old.Spec.Mutations {
		if m.ApplyConfiguration != nil {
			before = append(before, strings.TrimSpace(m.ApplyConfiguration.Expression))
		}
		if m.JSONPatch != nil {
			before = append(before, strings.TrimSpace(m.JSONPatch.Expression))
		}
	}
	return mutatingPolicy(p, before)
}

// mutatingPolicy checks a policy; before are expressions that stood in it already.
func mutatingPolicy(p *admissionv1.MutatingAdmissionPolicy, before []string) field.ErrorList {
	spec := &p.Spec
	e := newExpressions(spec.ParamKind != nil, before)
	errs := failurePolicy(spec.FailurePolicy)
	errs = append(errs, kindOfParams(spec.ParamKind, specPath.Child("paramKind"))...)
	errs = append(errs, constraints(spec.MatchConstraints)...)
	errs = append(errs, writesOnly(spec.MatchConstraints, specPath.Child("matchConstraints"))...)
	errs = append(errs, e.conditions(spec.MatchConditions, specPath.Child("matchConditions"))...)
	errs = append(errs, e.variables(spec.Variables)...)
	at := specPath.Child("mutations")
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(at, "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		errs = append(errs, e.mutation(&spec.Mutations[i], at.Index(i))...)
	}
	return append(errs, core.OneOf(spec.ReinvocationPolicy, specPath.Child("reinvocationPolicy"),
		admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy)...)
}

// writesOnly: only creations and updates have an object that can be changed.
func writesOnly(m *admissionv1.MatchResources, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if m == nil {
		return nil
	}
	for i := range m.ResourceRules {
		for _, operation := range m.ResourceRules[i].Operations {
			errs = append(errs, core.OneOfIfSet(&operation, at.Child("resourceRules", "operations"),
				admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Update)...)
		}
	}
	return errs
}

// mutation checks that there is an expression of the type named, and no other.
func (e *expressions) mutation(m *admissionv1.Mutation, path *field.Path) field.ErrorList {
	errs := core.OneOf(m.PatchType, path.Child("patchType"), admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)
	check := func(mine, given bool, text, name string, types []*cel.Type) {
		switch at := path.Child(name); {
		case mine && !given:
			errs = append(errs, field.Required(at, "must be specified when patchType is "+string(m.PatchType)))
		case mine && strings.TrimSpace(text) == "":
			errs = append(errs, field.Required(at.Child("expression"), ""))
		case mine:
			errs = append(errs, e.change(text, types, at.Child("expression"))...)
		case given && (m.PatchType == admissionv1.PatchTypeApplyConfiguration || m.PatchType == admissionv1.PatchTypeJSONPatch):
			errs = append(errs, field.Invalid(at, "{"+name+"}", "must not be specified when patchType is "+string(m.PatchType)))
		}
	}
	var apply, patch string
	if m.ApplyConfiguration != nil {
		apply = m.ApplyConfiguration.Expression
	}
	if m.JSONPatch != nil {
		patch = m.JSONPatch.Expression
	}
	check(m.PatchType == admissionv1.PatchTypeApplyConfiguration, m.ApplyConfiguration != nil, apply, "applyConfiguration", expression.Apply)
	check(m.PatchType == admissionv1.PatchTypeJSONPatch, m.JSONPatch != nil, patch, "jsonPatch", expression.Patches)
	return errs
}

func validateMutatingBinding(_ *resource.Request, b *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return append(bound(b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources), writesOnly(b.Spec.MatchResources, specPath.Child("matchResources"))...)
}

func validateMutatingBindingUpdate(r *resource.Request, b, _ *admissionv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	return validateMutatingBinding(r, b)
}

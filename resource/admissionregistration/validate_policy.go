package admissionregistration

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var specPath = field.NewPath("spec")

func validatePolicy(_ *resource.Request, p *admissionv1.ValidatingAdmissionPolicy) field.ErrorList {
	return validatingPolicy(p, nil)
}

func validatePolicyUpdate(_ *resource.Request, p, old *admissionv1.ValidatingAdmissionPolicy) field.ErrorList {
	before := append(conditionsIn(old.Spec.MatchConditions), variablesIn(old.Spec.Variables)...)
	for _, v := range old.Spec.Validations {
		before = append(before, v.Expression, v.MessageExpression)
	}
	for _, a := range old.Spec.AuditAnnotations {
		before = append(before, a.ValueExpression)
	}
	return validatingPolicy(p, before)
}

// validatingPolicy checks a policy; before are expressions that stood in it already.
func validatingPolicy(p *admissionv1.ValidatingAdmissionPolicy, before []string) field.ErrorList {
	spec := &p.Spec
	e := newExpressions(spec.ParamKind != nil, before)
	errs := failurePolicy(spec.FailurePolicy)
	errs = append(errs, kindOfParams(spec.ParamKind, specPath.Child("paramKind"))...)
	errs = append(errs, constraints(spec.MatchConstraints)...)
	errs = append(errs, e.conditions(spec.MatchConditions, specPath.Child("matchConditions"))...)
	errs = append(errs, e.variables(spec.Variables)...)
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const one = "validations or auditAnnotations must contain at least one item"
		errs = append(errs, field.Required(specPath.Child("validations"), one), field.Required(specPath.Child("auditAnnotations"), one))
	}
	for i := range spec.Validations {
		errs = append(errs, e.validation(&spec.Validations[i], specPath.Child("validations").Index(i))...)
	}
	return append(errs, e.annotations(p.Name, spec.AuditAnnotations)...)
}

func failurePolicy(policy *admissionv1.FailurePolicyType) field.ErrorList {
	at := specPath.Child("failurePolicy")
	if policy == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return core.OneOfIfSet(policy, at, admissionv1.Fail, admissionv1.Ignore)
}

func kindOfParams(k *admissionv1.ParamKind, at *field.Path) field.ErrorList {
	if k == nil {
		return nil
	}
	var errs field.ErrorList
	if k.APIVersion == "" {
		errs = append(errs, field.Required(at.Child("apiVersion"), ""))
	} else if gv, err := schema.ParseGroupVersion(k.APIVersion); err != nil {
		errs = append(errs, field.Invalid(at.Child("apiVersion"), k.APIVersion, err.Error()))
	} else {
		if gv.Group != "" {
			errs = append(errs, core.InvalidEach(at.Child("apiVersion"), k.APIVersion, validation.IsDNS1123Subdomain(gv.Group))...)
		}
		errs = append(errs, core.InvalidEach(at.Child("apiVersion"), k.APIVersion, validation.IsDNS1035Label(gv.Version))...)
	}
	if k.Kind == "" {
		return append(errs, field.Required(at.Child("kind"), ""))
	}
	if wrong := validation.IsDNS1035Label(strings.ToLower(k.Kind)); len(wrong) > 0 {
		errs = append(errs, field.Invalid(at.Child("kind"), k.Kind, "may have mixed case, but should otherwise match: "+strings.Join(wrong, ",")))
	}
	return errs
}

// constraints: a policy must say what it is about.
func constraints(m *admissionv1.MatchResources) field.ErrorList {
	at := specPath.Child("matchConstraints")
	if m == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := match(m, at)
	if len(m.ResourceRules) == 0 {
		errs = append(errs, field.Required(at.Child("resourceRules"), ""))
	}
	return errs
}

func match(m *admissionv1.MatchResources, at *field.Path) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := namedRules(m.ResourceRules, at.Child("resourceRules"))
	errs = append(errs, namedRules(m.ExcludeResourceRules, at.Child("excludeResourceRules"))...)
	errs = append(errs, core.LabelSelector(m.NamespaceSelector, at.Child("namespaceSelector"))...)
	errs = append(errs, core.LabelSelector(m.ObjectSelector, at.Child("objectSelector"))...)
	if m.MatchPolicy == nil {
		return append(errs, field.Required(at.Child("matchPolicy"), ""))
	}
	return append(errs, core.OneOfIfSet(m.MatchPolicy, at.Child("matchPolicy"), admissionv1.Equivalent, admissionv1.Exact)...)
}

func namedRules(list []admissionv1.NamedRuleWithOperations, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, rule(&list[i].RuleWithOperations, path.Index(i))...)
	}
	return errs
}

func validateBinding(_ *resource.Request, b *admissionv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	errs := bound(b.Spec.PolicyName, b.Spec.ParamRef, b.Spec.MatchResources)
	at, actions := specPath.Child("validationActions"), b.Spec.ValidationActions
	if len(actions) == 0 {
		errs = append(errs, field.Required(at, "at least one validation action is required"))
	}
	for i, action := range actions {
		errs = append(errs, core.OneOfIfSet(&action, at.Index(i), admissionv1.Audit, admissionv1.Deny, admissionv1.Warn)...)
		if slices.Contains(actions[:i], action) {
			errs = append(errs, field.Duplicate(at.Index(i), action))
		}
	}
	if slices.Contains(actions, admissionv1.Deny) && slices.Contains(actions, admissionv1.Warn) {
		errs = append(errs, field.Invalid(at, actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	return errs
}

func validateBindingUpdate(r *resource.Request, b, _ *admissionv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	return validateBinding(r, b)
}

// bound checks what bindings of both kinds of policies have.
func bound(policy string, ref *admissionv1.ParamRef, m *admissionv1.MatchResources) field.ErrorList {
	var errs field.ErrorList
	if policy == "" {
		errs = append(errs, field.Required(specPath.Child("policyName"), ""))
	} else {
		errs = append(errs, core.DNSSubdomain(policy, specPath.Child("policyName"))...)
	}
	if ref != nil {
		at := specPath.Child("paramRef")
		switch {
		case ref.Name != "" && ref.Selector != nil:
			errs = append(errs, field.Forbidden(at.Child("name"), "name and selector are mutually exclusive"),
				field.Forbidden(at.Child("selector"), "name and selector are mutually exclusive"))
		case ref.Name == "" && ref.Selector == nil:
			errs = append(errs, field.Required(at, "one of name or selector must be specified"))
		}
		errs = append(errs, core.LabelSelector(ref.Selector, at.Child("selector"))...)
		errs = append(errs, core.OneOf(ptr.Deref(ref.ParameterNotFoundAction, ""), at.Child("parameterNotFoundAction"), admissionv1.DenyAction, admissionv1.AllowAction)...)
	}
	return append(errs, match(m, specPath.Child("matchResources"))...)
}

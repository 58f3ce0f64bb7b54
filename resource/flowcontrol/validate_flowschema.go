package flowcontrol

import (
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateSchema(_ *resource.Request, schema *flowcontrolv1.FlowSchema) field.ErrorList {
	spec := &schema.Spec
	at, n := specPath.Child("matchingPrecedence"), spec.MatchingPrecedence
	var errs field.ErrorList
	if n <= 0 {
		errs = append(errs, field.Invalid(at, n, "must be a positive value"))
	}
	if n > flowcontrolv1.FlowSchemaMaxMatchingPrecedence {
		errs = append(errs, field.Invalid(at, n, "must not be greater than 10000"))
	}
	if n == 1 && schema.Name != flowcontrolv1.FlowSchemaNameExempt {
		errs = append(errs, field.Invalid(at, n, "only the schema named 'exempt' may have matchingPrecedence 1"))
	}
	if m := spec.DistinguisherMethod; m != nil {
		errs = append(errs, core.OneOfIfSet(&m.Type, specPath.Child("distinguisherMethod", "type"),
			flowcontrolv1.FlowDistinguisherMethodByNamespaceType, flowcontrolv1.FlowDistinguisherMethodByUserType)...)
	}
	if level := specPath.Child("priorityLevelConfiguration", "name"); spec.PriorityLevelConfiguration.Name == "" {
		errs = append(errs, field.Required(level, "must reference a priority level"))
	} else {
		errs = append(errs, core.DNSSubdomain(spec.PriorityLevelConfiguration.Name, level)...)
	}
	for i := range spec.Rules {
		errs = append(errs, policyRules(&spec.Rules[i], specPath.Child("rules").Index(i))...)
	}
	return errs
}

func validateSchemaUpdate(r *resource.Request, schema, _ *flowcontrolv1.FlowSchema) field.ErrorList {
	return validateSchema(r, schema)
}

func policyRules(rule *flowcontrolv1.PolicyRulesWithSubjects, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Subjects) == 0 {
		errs = append(errs, field.Required(path.Child("subjects"), "subjects must contain at least one value"))
	}
	for i := range rule.Subjects {
		errs = append(errs, subject(&rule.Subjects[i], path.Child("subjects").Index(i))...)
	}
	if len(rule.ResourceRules) == 0 && len(rule.NonResourceRules) == 0 {
		errs = append(errs, field.Required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
	}
	for i, r := range rule.ResourceRules {
		at := path.Child("resourceRules").Index(i)
		errs = append(errs, listOrAll(r.Verbs, at.Child("verbs"), "verbs", "verbs must contain at least one value")...)
		errs = append(errs, listOrAll(r.APIGroups, at.Child("apiGroups"), "api groups", "resource rules must supply at least one api group")...)
		errs = append(errs, listOrAll(r.Resources, at.Child("resources"), "resources", "resource rules must supply at least one resource")...)
		if len(r.Namespaces) > 0 || !r.ClusterScope {
			errs = append(errs, listOrAll(r.Namespaces, at.Child("namespaces"), "namespaces",
				"resource rules that are not cluster scoped must supply at least one namespace")...)
		}
	}
	for i, r := range rule.NonResourceRules {
		at := path.Child("nonResourceRules").Index(i)
		errs = append(errs, listOrAll(r.Verbs, at.Child("verbs"), "verbs", "verbs must contain at least one value")...)
		errs = append(errs, listOrAll(r.NonResourceURLs, at.Child("nonResourceURLs"), "non-resource URLs", "nonResourceURLs must contain at least one value")...)
	}
	return errs
}

// listOrAll demands a list, or a star alone.
func listOrAll(list []string, at *field.Path, what, missing string) field.ErrorList {
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(at, missing)}
	case len(list) > 1 && slices.Contains(list, "*"):
		return field.ErrorList{field.Invalid(at, list, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

func subject(s *flowcontrolv1.Subject, path *field.Path) field.ErrorList {
	errs := core.OneOfIfSet(&s.Kind, path.Child("kind"), flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindServiceAccount, flowcontrolv1.SubjectKindUser)
	if len(errs) > 0 {
		return errs
	}
	for _, f := range []struct {
		name  string
		kind  flowcontrolv1.SubjectKind
		given bool
	}{
		{"serviceAccount", flowcontrolv1.SubjectKindServiceAccount, s.ServiceAccount != nil},
		{"user", flowcontrolv1.SubjectKindUser, s.User != nil},
		{"group", flowcontrolv1.SubjectKindGroup, s.Group != nil},
	} {
		switch at := path.Child(f.name); {
		case f.kind == s.Kind && !f.given:
			errs = append(errs, field.Required(at, f.name+" is required when subject kind is '"+string(f.kind)+"'"))
		case f.kind != s.Kind && f.given:
			errs = append(errs, field.Forbidden(at, f.name+" is forbidden when subject kind is not '"+string(f.kind)+"'"))
		}
	}
	return errs
}

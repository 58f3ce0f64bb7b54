package admissionpolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"

	"github.com/septet-io/septet/resource/expression"
)

// maxKinds bounds how many kinds a policy is checked against.
const maxKinds = 10

// checker checks the types of a policy's expressions against the schemas of the kinds that it matches.
type checker struct {
	discovery discovery.ServerResourcesInterface
	schemas   resolver.SchemaResolver
}

// typed is a kind whose schema is known.
type typed struct {
	schema.GroupVersionKind
	object, params *apiservercel.DeclType
}

// check returns a warning for each expression that does not fit one of the kinds. Errors: discovery failed.
func (c *checker) check(policy *registrationv1.ValidatingAdmissionPolicy) ([]registrationv1.ExpressionWarning, error) {
	kinds, err := c.kinds(policy)
	if err != nil {
		return nil, err
	}
	compilers := make([]*expression.Compiler, len(kinds))
	scope := expression.Scope{Params: policy.Spec.ParamKind != nil, Authorizer: true}
	for i := range kinds {
		compilers[i] = expression.NewTypedCompiler(expression.Stored, kinds[i].object, kinds[i].params)
		for _, v := range policy.Spec.Variables {
			compilers[i].Compose(v.Name, v.Expression, scope)
		}
	}
	var warnings []registrationv1.ExpressionWarning
	look := func(at *field.Path, text string) {
		var issues []string
		for i := range kinds {
			if p := compilers[i].Compile(text, scope, expression.Any); p.Err != nil {
				issues = append(issues, issue(kinds[i].GroupVersionKind, p.Err))
			}
		}
		if len(issues) > 0 {
			warnings = append(warnings, registrationv1.ExpressionWarning{FieldRef: at.String(), Warning: strings.Join(issues, "\n")})
		}
	}
	for i := range policy.Spec.Validations {
		v, at := &policy.Spec.Validations[i], field.NewPath("spec", "validations").Index(i)
		look(at.Child("expression"), v.Expression)
		if v.MessageExpression != "" {
			look(at.Child("messageExpression"), v.MessageExpression)
		}
	}
	return warnings, nil
}

func issue(kind schema.GroupVersionKind, err *apiservercel.Error) string {
	if err.Type != apiservercel.ErrorTypeInvalid {
		return fmt.Sprintf("%v: type checking error: %v\n", kind, err)
	}
	// What violates the language is told in CEL's own words alone.
	return fmt.Sprintf("%v: %s\n", kind, strings.TrimPrefix(err.Error(), "compilation failed: "))
}

// kinds finds what a policy is about, in order, as far as it says so without wildcards and a schema is known.
func (c *checker) kinds(policy *registrationv1.ValidatingAdmissionPolicy) ([]typed, error) {
	found := map[schema.GroupVersionKind]bool{}
	if m := policy.Spec.MatchConstraints; m != nil {
		for i := range m.ResourceRules {
			if err := c.ofRule(&m.ResourceRules[i].Rule, found); err != nil {
				return nil, err
			}
		}
	}
	var params *apiservercel.DeclType
	if kind := policy.Spec.ParamKind; kind != nil && len(found) > 0 {
		var err error
		if params, err = c.declared(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind), "Params"); err != nil {
			return nil, err
		}
	}
	var list []typed
	for kind := range found {
		object, err := c.declared(kind, "Object")
		if err != nil {
			return nil, err
		}
		if object != nil {
			list = append(list, typed{kind, object, params})
		}
	}
	slices.SortFunc(list, func(a, b typed) int { return strings.Compare(order(a), order(b)) })
	return list[:min(len(list), maxKinds)], nil
}

func order(t typed) string { return strings.Join([]string{t.Group, t.Version, t.Kind}, "\x00") }

// ofRule adds the kinds of a rule. One with a wildcard for groups or versions means no kind in particular.
func (c *checker) ofRule(rule *registrationv1.Rule, found map[schema.GroupVersionKind]bool) error {
	if slices.Contains(rule.APIGroups, "*") || slices.Contains(rule.APIVersions, "*") {
		return nil
	}
	for _, group := range rule.APIGroups {
		for _, version := range rule.APIVersions {
			gv := schema.GroupVersion{Group: group, Version: version}
			served, err := c.discovery.ServerResourcesForGroupVersion(gv.String())
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			for i := range served.APIResources {
				if r := &served.APIResources[i]; slices.Contains(rule.Resources, r.Name) && !strings.Contains(r.Name, "/") && len(found) < maxKinds {
					found[gv.WithKind(r.Kind)] = true
				}
			}
		}
	}
	return nil
}

// declared is the type of a kind by its OpenAPI schema; nil if it has none. role keeps the types of objects and parameters apart.
func (c *checker) declared(kind schema.GroupVersionKind, role string) (*apiservercel.DeclType, error) {
	s, err := c.schemas.ResolveSchema(kind)
	if errors.Is(err, resolver.ErrSchemaNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t := common.SchemaDeclType(&openapi.Schema{Schema: s}, true); t != nil {
		return t.MaybeAssignTypeName(kind.Kind + role), nil
	}
	return nil, nil
}

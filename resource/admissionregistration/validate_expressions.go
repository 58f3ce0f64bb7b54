package admissionregistration

import (
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"github.com/septet-io/septet/resource/core"
	"github.com/septet-io/septet/resource/expression"
)

// expressions checks those of one object. What stood there before may use all of the language that this version knows, what is new only
// what the version before knew too, so that one can go back.
type expressions struct {
	compiler *expression.Compiler // made when there is something to compile: that takes megabytes
	scope    expression.Scope
	before   []string
}

func newExpressions(params bool, before []string) *expressions {
	return &expressions{scope: expression.Scope{Params: params, Authorizer: true}, before: before}
}

// with returns the compiler for an expression.
func (e *expressions) with(text string) *expression.Compiler {
	if e.compiler == nil {
		e.compiler = expression.NewCompiler(expression.New)
	}
	e.compiler.Mode = expression.New
	if slices.Contains(e.before, text) {
		e.compiler.Mode = expression.Stored
	}
	return e.compiler
}

// check compiles an expression in a scope; it must have one of the types.
func (e *expressions) check(text string, scope expression.Scope, types []*cel.Type, at *field.Path) field.ErrorList {
	return fieldError(e.with(text).Compile(text, scope, types), at)
}

func fieldError(p *expression.Program, at *field.Path) field.ErrorList {
	switch {
	case p.Err == nil:
		return nil
	case p.Err.Type == apiservercel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, p.Text, p.Err.Detail)}
	}
	return field.ErrorList{field.InternalError(at, p.Err)}
}

// conditions checks match conditions; they do not see variables.
func (e *expressions) conditions(list []admissionv1.MatchCondition, path *field.Path) field.ErrorList {
	errs := matchConditions(list, path)
	plain := &expressions{scope: e.scope, before: e.before}
	for i := range list {
		if text := strings.TrimSpace(list[i].Expression); text != "" {
			errs = append(errs, plain.check(text, e.scope, expression.Bool, path.Index(i).Child("expression"))...)
		}
	}
	return errs
}

var identifier = regexp.MustCompile("^[_a-zA-Z][_a-zA-Z0-9]*$")

// reserved are words of the language, and those that it may need one day.
var reserved = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while")

// variables checks those of a policy, and lets the expressions after them use them.
func (e *expressions) variables(list []admissionv1.Variable) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		v, at := &list[i], specPath.Child("variables").Index(i)
		if strings.TrimSpace(v.Name) == "" {
			errs = append(errs, field.Required(at.Child("name"), "name is not specified"))
		} else if !identifier.MatchString(v.Name) || slices.Contains(reserved, v.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
		}
		if strings.TrimSpace(v.Expression) == "" {
			errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
		} else {
			errs = append(errs, fieldError(e.with(v.Expression).Compose(v.Name, v.Expression, e.scope), at.Child("expression"))...)
		}
	}
	return errs
}

func (e *expressions) validation(v *admissionv1.Validation, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		errs = append(errs, field.Required(at.Child("expression"), "expression is not specified"))
	} else {
		errs = append(errs, e.check(v.Expression, e.scope, expression.Bool, at.Child("expression"))...)
	}
	if v.MessageExpression != "" {
		if strings.TrimSpace(v.MessageExpression) == "" {
			errs = append(errs, field.Invalid(at.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
		} else {
			errs = append(errs, e.check(v.MessageExpression, expression.Scope{Params: e.scope.Params}, expression.Text, at.Child("messageExpression"))...)
		}
	}
	if v.Message != "" && strings.TrimSpace(v.Message) == "" {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must be non-empty if specified"))
	} else if strings.ContainsAny(strings.TrimSpace(v.Message), "\n\r") {
		errs = append(errs, field.Invalid(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(errs, core.OneOfIfSet(v.Reason, at.Child("reason"), "Forbidden", "Invalid", "RequestEntityTooLarge")...)
}

// maxAnnotations is how many annotations of the audit event a policy may make, maxAnnotationExpression how long each may be written.
const maxAnnotations, maxAnnotationExpression = 20, 5 << 10

func (e *expressions) annotations(policy string, list []admissionv1.AuditAnnotation) field.ErrorList {
	var errs field.ErrorList
	path := specPath.Child("auditAnnotations")
	if len(list) > maxAnnotations {
		errs = append(errs, field.Invalid(path, list, "must not have more than 20 auditAnnotations"))
	}
	for i := range list {
		a, at := &list[i], path.Index(i)
		if policy == "" {
			errs = append(errs, field.Invalid(at.Child("key"), a.Key, "requires metadata.name be non-empty"))
		} else {
			errs = append(errs, core.QualifiedName(policy+"/"+a.Key, at.Child("key"))...)
		}
		switch text := strings.TrimSpace(a.ValueExpression); {
		case text == "":
			errs = append(errs, field.Required(at.Child("valueExpression"), "valueExpression is not specified"))
		case len(text) > maxAnnotationExpression:
			errs = append(errs, field.Required(at.Child("valueExpression"), "must not exceed 5120 bytes in length"))
		default:
			errs = append(errs, e.check(a.ValueExpression, e.scope, expression.TextOr0, at.Child("valueExpression"))...)
		}
		if slices.ContainsFunc(list[:i], func(o admissionv1.AuditAnnotation) bool { return o.Key == a.Key }) {
			errs = append(errs, field.Duplicate(at.Child("key"), a.Key))
		}
	}
	return errs
}

// change checks the expression of a mutation.
func (e *expressions) change(text string, types []*cel.Type, at *field.Path) field.ErrorList {
	scope := e.scope
	scope.Patch = true
	return e.check(strings.TrimSpace(text), scope, types, at)
}

// conditionsIn are the expressions of match conditions.
func conditionsIn(list []admissionv1.MatchCondition) []string {
	var all []string
	for i := range list {
		all = append(all, strings.TrimSpace(list[i].Expression))
	}
	return all
}

func variablesIn(list []admissionv1.Variable) []string {
	var all []string
	for i := range list {
		all = append(all, list[i].Expression)
	}
	return all
}

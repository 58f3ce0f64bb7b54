package remote

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// condition is a compiled matchCondition: the webhook is asked only if all of its conditions are true.
type condition struct {
	text    string
	program cel.Program
}

// conditionEnv is where conditions are compiled: "request" is a SubjectAccessReviewSpec. It is made for the first of them.
var conditionEnv = sync.OnceValues(func() (*cel.Env, error) {
	text := apiservercel.StringType
	texts := apiservercel.NewListType(text, -1)
	object := func(name string, fields map[string]*apiservercel.DeclType) *apiservercel.DeclType {
		declared := map[string]*apiservercel.DeclField{}
		for field, kind := range fields {
			declared[field] = apiservercel.NewDeclField(field, kind, false, nil, nil)
		}
		return apiservercel.NewObjectType("kubernetes."+name, declared)
	}
	requirement := object("SelectorRequirement", map[string]*apiservercel.DeclType{"key": text, "operator": text, "values": texts})
	selector := func(name string) *apiservercel.DeclType {
		return object(name, map[string]*apiservercel.DeclType{"rawSelector": text, "requirements": apiservercel.NewListType(requirement, -1)})
	}
	request := object("SubjectAccessReviewSpec", map[string]*apiservercel.DeclType{
		"user": text, "uid": text, "groups": texts, "extra": apiservercel.NewMapType(text, texts, -1),
		"nonResourceAttributes": object("NonResourceAttributes", map[string]*apiservercel.DeclType{"path": text, "verb": text}),
		"resourceAttributes": object("ResourceAttributes", map[string]*apiservercel.DeclType{
			"namespace": text, "verb": text, "group": text, "version": text, "resource": text, "subresource": text, "name": text,
			"fieldSelector": selector("FieldSelectorAttributes"), "labelSelector": selector("LabelSelectorAttributes"),
		}),
	})
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        []cel.EnvOption{cel.Variable("request", request.CelType())}, DeclTypes: []*apiservercel.DeclType{request},
	})
	if err != nil {
		return nil, err
	}
	return set.StoredExpressionsEnv(), nil
})

func compile(text string) (*condition, error) {
	env, err := conditionEnv()
	if err != nil {
		return nil, err
	}
	compiled, issues := env.Compile(text)
	if issues != nil {
		return nil, errors.New("compilation failed: " + issues.String())
	}
	if compiled.OutputType() != cel.BoolType {
		return nil, errors.New("must evaluate to bool")
	}
	program, err := env.Program(compiled)
	if err != nil {
		return nil, err
	}
	return &condition{text: text, program: program}, nil
}

// matches says whether all conditions are true. One that is false decides even where others fail.
func matches(conditions []*condition, spec *authorizationv1.SubjectAccessReviewSpec) (bool, error) {
	if len(conditions) == 0 {
		return true, nil
	}
	var errs []error
	variables := map[string]any{"request": shown(spec)}
	for _, c := range conditions {
		result, _, err := c.program.Eval(variables)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("cel evaluation error: expression '%s' resulted in error: %w", c.text, err))
		case result != types.True:
			return false, nil
		}
	}
	return len(errs) == 0, errors.Join(errs...)
}

// shown is a question as conditions see it: every field that has a value of its own, also where that is empty.
func shown(spec *authorizationv1.SubjectAccessReviewSpec) map[string]any {
	extra := map[string][]string{}
	for key, values := range spec.Extra {
		extra[key] = values
	}
	request := map[string]any{"user": spec.User, "uid": spec.UID, "groups": spec.Groups, "extra": extra}
	if path := spec.NonResourceAttributes; path != nil {
		request["nonResourceAttributes"] = map[string]any{"path": path.Path, "verb": path.Verb}
	}
	of := spec.ResourceAttributes
	if of == nil {
		return request
	}
	attributes := map[string]any{
		"namespace": of.Namespace, "verb": of.Verb, "group": of.Group, "version": of.Version,
		"resource": of.Resource, "subresource": of.Subresource, "name": of.Name,
	}
	if s := of.FieldSelector; s != nil {
		var requirements []map[string]any
		for _, r := range s.Requirements {
			requirements = append(requirements, map[string]any{"key": r.Key, "operator": string(r.Operator), "values": r.Values})
		}
		attributes["fieldSelector"] = map[string]any{"requirements": requirements}
	}
	if s := of.LabelSelector; s != nil {
		var requirements []map[string]any
		for _, r := range s.Requirements {
			requirements = append(requirements, map[string]any{"key": r.Key, "operator": string(r.Operator), "values": r.Values})
		}
		attributes["labelSelector"] = map[string]any{"requirements": requirements}
	}
	request["resourceAttributes"] = attributes
	return request
}

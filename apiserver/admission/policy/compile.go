// Package policy runs admission policies, rules written in CEL that need no program outside: ValidatingAdmissionPolicy and
// MutatingAdmissionPolicy. https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
package policy

import (
	"strings"
	"sync"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/expression"
)

// policy is a policy of either kind, compiled. It never changes.
type policy struct {
	name     string
	criteria match.Criteria
	// params is the kind of parameters, nil if it has none; broken is why it cannot be used.
	params   *schema.GroupVersionKind
	broken   error
	failOpen bool
	// reinvoke says that it is asked again when others change the object after it.
	reinvoke bool
	program  func() *program // compiled when first needed
}

// program is what a policy runs.
type program struct {
	compiler    *expression.Compiler
	conditions  match.Conditions
	validations []validation
	annotations []annotation
	mutations   []edit
}

type validation struct {
	*expression.Program
	message   string              // if there is no messageOf, or it comes to nothing
	messageOf *expression.Program // may be nil
	reason    metav1.StatusReason
}

type annotation struct {
	*expression.Program
	key string
}

type edit struct {
	*expression.Program
	apply bool // else a JSON patch
}

// binding says where a policy holds, and with which parameters.
type binding struct {
	name, policy string
	criteria     *match.Criteria // nil: everywhere
	params       *registrationv1.ParamRef
	actions      []registrationv1.ValidationAction
}

// common compiles what both kinds of policies have.
func common(name string, failure *registrationv1.FailurePolicyType, kind *registrationv1.ParamKind, constraints *registrationv1.MatchResources) *policy {
	p := &policy{name: name, failOpen: failure != nil && *failure == registrationv1.Ignore}
	if constraints != nil {
		p.criteria = match.OfPolicy(constraints)
		p.criteria.Anything = false // a policy has to say what it is about
	}
	if kind != nil {
		gv, err := schema.ParseGroupVersion(kind.APIVersion)
		gvk := gv.WithKind(kind.Kind)
		p.params, p.broken = &gvk, err
	}
	return p
}

// begin compiles variables and match conditions, on which everything else may build.
func begin(p *policy, variables []registrationv1.Variable, conditions []registrationv1.MatchCondition) (*program, expression.Scope) {
	scope := expression.Scope{Params: p.params != nil, Authorizer: true}
	run := &program{compiler: expression.NewCompiler(expression.Stored)}
	for i := range variables {
		run.compiler.Compose(variables[i].Name, variables[i].Expression, scope)
	}
	run.conditions = match.AddConditions(run.compiler, conditions, scope)
	return run, scope
}

// validatingPolicy compiles a ValidatingAdmissionPolicy.
func validatingPolicy(obj resource.Object) *policy {
	spec := &obj.(*registrationv1.ValidatingAdmissionPolicy).Spec
	p := common(obj.GetName(), spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints)
	p.program = sync.OnceValue(func() *program {
		run, scope := begin(p, spec.Variables, spec.MatchConditions)
		for i := range spec.Validations {
			run.validations = append(run.validations, newValidation(run.compiler, &spec.Validations[i], scope))
		}
		for i := range spec.AuditAnnotations {
			a := &spec.AuditAnnotations[i]
			run.annotations = append(run.annotations, annotation{run.compiler.Compile(a.ValueExpression, scope, expression.TextOr0), a.Key})
		}
		return run
	})
	return p
}

func newValidation(c *expression.Compiler, from *registrationv1.Validation, scope expression.Scope) validation {
	v := validation{Program: c.Compile(from.Expression, scope, expression.Bool), message: strings.TrimSpace(from.Message), reason: metav1.StatusReasonInvalid}
	if v.message == "" {
		v.message = "failed expression: " + strings.TrimSpace(from.Expression)
	}
	if from.Reason != nil {
		v.reason = *from.Reason
	}
	if from.MessageExpression != "" {
		v.messageOf = c.Compile(from.MessageExpression, expression.Scope{Params: scope.Params}, expression.Text)
	}
	return v
}

// mutatingPolicy compiles a MutatingAdmissionPolicy.
func mutatingPolicy(obj resource.Object) *policy {
	spec := &obj.(*registrationv1.MutatingAdmissionPolicy).Spec
	p := common(obj.GetName(), spec.FailurePolicy, spec.ParamKind, spec.MatchConstraints)
	p.reinvoke = spec.ReinvocationPolicy == registrationv1.IfNeededReinvocationPolicy
	p.program = sync.OnceValue(func() *program {
		run, scope := begin(p, spec.Variables, spec.MatchConditions)
		scope.Patch = true
		for i := range spec.Mutations {
			switch m := &spec.Mutations[i]; {
			case m.ApplyConfiguration != nil:
				run.mutations = append(run.mutations, edit{run.compiler.Compile(m.ApplyConfiguration.Expression, scope, expression.Apply), true})
			case m.JSONPatch != nil:
				run.mutations = append(run.mutations, edit{run.compiler.Compile(m.JSONPatch.Expression, scope, expression.Patches), false})
			}
		}
		return run
	})
	return p
}

func validatingBinding(obj resource.Object) *binding {
	spec := &obj.(*registrationv1.ValidatingAdmissionPolicyBinding).Spec
	b := newBinding(obj.GetName(), spec.PolicyName, spec.ParamRef, spec.MatchResources)
	b.actions = spec.ValidationActions
	return b
}

func mutatingBinding(obj resource.Object) *binding {
	spec := &obj.(*registrationv1.MutatingAdmissionPolicyBinding).Spec
	return newBinding(obj.GetName(), spec.PolicyName, spec.ParamRef, spec.MatchResources)
}

func newBinding(name, policy string, params *registrationv1.ParamRef, where *registrationv1.MatchResources) *binding {
	b := &binding{name: name, policy: policy, params: params}
	if where != nil {
		criteria := match.OfPolicy(where)
		b.criteria = &criteria
	}
	return b
}

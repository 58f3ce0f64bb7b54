package admissionpolicy

import (
	"context"
	"fmt"
	"strings"
	"testing"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/septet-io/septet/controllers/controltest"
)

// oneSchema knows Deployments, which have replicas, and nothing else.
type oneSchema struct{}

func (oneSchema) ResolveSchema(kind schema.GroupVersionKind) (*spec.Schema, error) {
	if kind.Kind != "Deployment" {
		return nil, resolver.ErrSchemaNotFound
	}
	s := spec.MapProperty(nil)
	s.AdditionalProperties = nil
	s.Properties = map[string]spec.Schema{"spec": {SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{"replicas": *spec.Int32Property()}}}}
	return s, nil
}

func serve(api *fake.Clientset) *fake.Clientset {
	api.Resources = []*metav1.APIResourceList{
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Kind: "Deployment"}, {Name: "deployments/status", Kind: "Deployment"}}},
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "pods", Kind: "Pod"}}},
	}
	return api
}

func policy(groups string, change func(*registrationv1.ValidatingAdmissionPolicySpec)) *registrationv1.ValidatingAdmissionPolicy {
	p := &registrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: 1}}
	p.Spec.MatchConstraints = &registrationv1.MatchResources{ResourceRules: []registrationv1.NamedRuleWithOperations{{
		RuleWithOperations: registrationv1.RuleWithOperations{Rule: registrationv1.Rule{
			APIGroups: []string{groups}, APIVersions: []string{"v1"}, Resources: []string{"deployments", "pods"},
		}},
	}}}
	change(&p.Spec)
	return p
}

func TestTypesOfExpressions(t *testing.T) {
	t.Parallel()
	says := func(expression, message string) func(*registrationv1.ValidatingAdmissionPolicySpec) {
		return func(s *registrationv1.ValidatingAdmissionPolicySpec) {
			s.Validations = []registrationv1.Validation{{Expression: expression, MessageExpression: message}}
		}
	}
	for name, test := range map[string]struct {
		policy    *registrationv1.ValidatingAdmissionPolicy
		at, warns string
	}{
		"it fits":               {policy("apps", says("object.spec.replicas > 1", "string(object.spec.replicas)")), "", ""},
		"no such field":         {policy("apps", says("object.spec.replicass > 1", "")), "spec.validations[0].expression", "undefined field 'replicass'"},
		"another type":          {policy("apps", says("object.spec.replicas > '1'", "")), "spec.validations[0].expression", "no matching overload"},
		"in a message":          {policy("apps", says("true", "object.name")), "spec.validations[0].messageExpression", "undefined field 'name'"},
		"a kind without schema": {policy("", says("object.spec.replicass > 1", "")), "", ""},
		"a group that is not":   {policy("gone", says("object.spec.replicass > 1", "")), "", ""},
		"any kind":              {policy("*", says("object.spec.replicass > 1", "")), "", ""},
		"by a variable": {policy("apps", func(s *registrationv1.ValidatingAdmissionPolicySpec) {
			s.Variables = []registrationv1.Variable{{Name: "n", Expression: "object.spec.replicas"}}
			says("variables.n == 'x'", "")(s)
		}), "spec.validations[0].expression", "no matching overload"},
		"parameters of a kind without schema": {policy("apps", func(s *registrationv1.ValidatingAdmissionPolicySpec) {
			s.ParamKind = &registrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
			says("object.spec.replicas > params.data.most", "")(s)
		}), "", ""},
	} {
		c := checker{discovery: serve(fake.NewClientset()).Discovery(), schemas: oneSchema{}}
		warnings, err := c.check(test.policy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if test.at == "" && len(warnings) == 0 {
			continue
		}
		if len(warnings) != 1 || warnings[0].FieldRef != test.at || !strings.Contains(warnings[0].Warning, test.warns) ||
			!strings.HasPrefix(warnings[0].Warning, "apps/v1, Kind=Deployment: ERROR: <input>:") {
			t.Errorf("%s: %+v, want %s at %s", name, warnings, test.warns, test.at)
		}
	}
}

// TestStatusOfAPolicy says which generation was checked, and with what result.
func TestStatusOfAPolicy(t *testing.T) {
	t.Parallel()
	p := policy("apps", func(s *registrationv1.ValidatingAdmissionPolicySpec) {
		s.Validations = []registrationv1.Validation{{Expression: "object.spec.replicass > 1"}}
	})
	w := controltest.New(t, p)
	serve(w.Fake)
	w.Run(newWith(w.Set, 1, oneSchema{}))
	policies, ctx := w.AdmissionregistrationV1().ValidatingAdmissionPolicies(), context.Background()
	w.Eventually(func() string {
		p, err := policies.Get(ctx, "p", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if s := p.Status; s.ObservedGeneration != 1 || s.TypeChecking == nil || len(s.TypeChecking.ExpressionWarnings) != 1 {
			return fmt.Sprintf("the status is %+v", s)
		}
		return ""
	})
}

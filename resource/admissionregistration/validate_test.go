package admissionregistration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func goodRule() admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods", "pods/status"}},
	}
}

func goodHook() admissionv1.ValidatingWebhook {
	return admissionv1.ValidatingWebhook{
		Name: "a.example.com", ClientConfig: admissionv1.WebhookClientConfig{URL: ptr.To("https://example.com/check")},
		Rules: []admissionv1.RuleWithOperations{goodRule()}, SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*admissionv1.ValidatingWebhook)
		want   []string
	}{
		"good": {func(*admissionv1.ValidatingWebhook) {}, nil},
		"empty": {func(h *admissionv1.ValidatingWebhook) { *h = admissionv1.ValidatingWebhook{Name: "a.example.com"} }, []string{
			"webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
			"webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
			"webhooks[0].clientConfig: Required value: exactly one of url or service is required",
		}},
		"wrong": {func(h *admissionv1.ValidatingWebhook) {
			h.Name, h.TimeoutSeconds, h.AdmissionReviewVersions = "a.b", ptr.To[int32](31), []string{"v2"}
			h.SideEffects = ptr.To(admissionv1.SideEffectClassSome)
			h.Rules[0].Operations = []admissionv1.OperationType{"*", "READ"}
			h.Rules[0].Resources = []string{"*", "pods", "pods/*", "pods/log"}
			h.ClientConfig.URL = ptr.To("http://example.com?x=1")
		}, []string{
			`webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1`,
			`webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots`,
			`webhooks[0].rules[0].operations: Invalid value: ["*","READ"]: if '*' is present, must not specify other operations`,
			`webhooks[0].rules[0].operations[1]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"`,
			`webhooks[0].rules[0].resources[3]: Invalid value: "pods/log": if 'pods/*' is present, must not specify pods/log`,
			`webhooks[0].rules[0].resources: Invalid value: ["*","pods","pods/*","pods/log"]: if '*' is present, must not specify other resources without subresources`,
			`webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`,
			"webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
			`webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
			`webhooks[0].clientConfig.url: Invalid value: "x=1": query parameters are not permitted in the URL`,
		}},
		"service": {func(h *admissionv1.ValidatingWebhook) {
			h.ClientConfig = admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Name: "s", Path: ptr.To("/a//b"), Port: ptr.To[int32](0)}}
		}, []string{
			"webhooks[0].clientConfig.service.namespace: Required value",
			"webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
			`webhooks[0].clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := goodHook()
			test.change(&hook)
			expect(t, validateValidatingWebhooks(nil, &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{hook}}), test.want...)
		})
	}
	odd := admissionv1.MutatingWebhook{
		Name: "a.example.com", ClientConfig: goodHook().ClientConfig, SideEffects: goodHook().SideEffects, AdmissionReviewVersions: []string{"v1"},
		ReinvocationPolicy: ptr.To(admissionv1.ReinvocationPolicyType("Often")),
	}
	expect(t, validateMutatingWebhooks(nil, &admissionv1.MutatingWebhookConfiguration{Webhooks: []admissionv1.MutatingWebhook{odd, odd}})[:1],
		`webhooks[1].name: Duplicate value: "a.example.com"`)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	expect(t, validatePolicy(nil, &admissionv1.ValidatingAdmissionPolicy{}),
		"spec.failurePolicy: Required value",
		"spec.matchConstraints: Required value",
		"spec.validations: Required value: validations or auditAnnotations must contain at least one item",
		"spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item")
	expect(t, validateBinding(nil, &admissionv1.ValidatingAdmissionPolicyBinding{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		ParamRef: &admissionv1.ParamRef{}, ValidationActions: []admissionv1.ValidationAction{"Deny", "Warn"},
	}}),
		"spec.policyName: Required value",
		"spec.paramRef: Required value: one of name or selector must be specified",
		"spec.paramRef.parameterNotFoundAction: Required value",
		`spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)`)
}

func TestMutatingPolicies(t *testing.T) {
	t.Parallel()
	rules := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: goodRule()}}
	p := &admissionv1.MutatingAdmissionPolicy{Spec: admissionv1.MutatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: rules}, FailurePolicy: ptr.To(admissionv1.Fail), ReinvocationPolicy: "Never",
		Mutations: []admissionv1.Mutation{{PatchType: "JSONPatch", ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: "Object{}"}}},
	}}
	defaultMatch(p.Spec.MatchConstraints)
	expect(t, validateMutatingPolicy(nil, p),
		`spec.mutations[0].applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch`,
		"spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch")
	p.Spec.Mutations[0].ApplyConfiguration, p.Spec.Mutations[0].JSONPatch = nil, &admissionv1.JSONPatch{Expression: `[JSONPatch{op: "remove", path: "/x"}]`}
	rules[0].Operations = []admissionv1.OperationType{"*"}
	expect(t, validateMutatingPolicy(nil, p))
	rules[0].Operations = []admissionv1.OperationType{"CONNECT", "DELETE"}
	expect(t, validateMutatingPolicy(nil, p),
		`spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`)
	expect(t, validateMutatingBinding(nil, &admissionv1.MutatingAdmissionPolicyBinding{}), "spec.policyName: Required value")
}

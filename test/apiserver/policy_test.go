package apiserver

import (
	"net/http"
	"strings"
	"testing"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
)

// about is what a policy looks at: resources of a group's version v1, in the namespace default.
func about(group, resource string) *registrationv1.MatchResources {
	return &registrationv1.MatchResources{
		NamespaceSelector: inDefault(),
		ResourceRules: []registrationv1.NamedRuleWithOperations{{
			RuleWithOperations: On(group, "v1", resource, registrationv1.Create, registrationv1.Update)}},
	}
}

// checks registers a validating policy, bound with some actions; Deny if there are none.
func checks(t testing.TB, set *client.Set, name string, spec registrationv1.ValidatingAdmissionPolicySpec, params *registrationv1.ParamRef, actions ...registrationv1.ValidationAction) {
	t.Helper()
	api, ctx := set.AdmissionregistrationV1(), t.Context()
	if _, err := api.ValidatingAdmissionPolicies().Create(ctx, &registrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if actions == nil {
		actions = []registrationv1.ValidationAction{registrationv1.Deny}
	}
	if _, err := api.ValidatingAdmissionPolicyBindings().Create(ctx, &registrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-binding"},
		Spec:       registrationv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ParamRef: params, ValidationActions: actions},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// changes registers a mutating policy, bound everywhere.
func changes(t testing.TB, set *client.Set, name string, spec registrationv1.MutatingAdmissionPolicySpec) {
	t.Helper()
	api, ctx := set.AdmissionregistrationV1(), t.Context()
	if spec.ReinvocationPolicy == "" {
		spec.ReinvocationPolicy = registrationv1.NeverReinvocationPolicy
	}
	if _, err := api.MutatingAdmissionPolicies().Create(ctx, &registrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.MutatingAdmissionPolicyBindings().Create(ctx, &registrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-binding"}, Spec: registrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func scaled(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: plainPod("").Spec},
	}}
}

// TestAPolicyRefusesDeployments by rules with variables, messages and reasons.
//
// conformance: [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should allow expressions to refer variables. [Conformance]
// conformance: [sig-api-machinery] ValidatingAdmissionPolicy [Privileged:ClusterAdmin] should validate against a Deployment [Conformance]
func TestAPolicyRefusesDeployments(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	checks(t, set, "replicas", registrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: about("apps", "deployments"),
		Variables: []registrationv1.Variable{
			{Name: "replicas", Expression: "object.spec.replicas"},
			{Name: "odd", Expression: "variables.replicas % 2 == 1"},
		},
		Validations: []registrationv1.Validation{
			{Expression: "variables.replicas > 1", MessageExpression: "'wants more than 1 replica, got ' + string(variables.replicas)", Reason: ptr.To(metav1.StatusReasonForbidden)},
			{Expression: "variables.odd", Message: "wants an odd number"},
			{Expression: "namespaceObject.metadata.name == 'default' && request.operation == 'CREATE'"},
		},
	}, nil)
	deployments := set.AppsV1().Deployments("default")
	_, err := deployments.Create(t.Context(), scaled("one", 1), metav1.CreateOptions{})
	if refusedBy(t, err, `deployments.apps "one" is forbidden: ValidatingAdmissionPolicy 'replicas' with binding 'replicas-binding' denied request: wants more than 1 replica, got 1`); !apierrors.IsForbidden(err) {
		t.Errorf("reason %s", apierrors.ReasonForError(err))
	}
	_, err = deployments.Create(t.Context(), scaled("two", 2), metav1.CreateOptions{})
	if refusedBy(t, err, `denied request: wants an odd number`); !apierrors.IsInvalid(err) {
		t.Errorf("reason %s", apierrors.ReasonForError(err))
	}
	made, err := deployments.Create(t.Context(), scaled("three", 3), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Labels = map[string]string{"a": "b"}
	_, err = deployments.Update(t.Context(), made, metav1.UpdateOptions{})
	refusedBy(t, err, `denied request: failed expression: namespaceObject.metadata.name == 'default' && request.operation == 'CREATE'`)
}

// TestParametersOfPolicies come from objects that a binding names or selects; where there are none, the binding says what then.
func TestParametersOfPolicies(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	ctx := t.Context()
	limit := configMap("limit", map[string]string{"max": "3"})
	limit.Labels = map[string]string{"limit": "yes"}
	if _, err := set.CoreV1().ConfigMaps("default").Create(ctx, limit, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	spec := registrationv1.ValidatingAdmissionPolicySpec{
		ParamKind: &registrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}, MatchConstraints: about("apps", "deployments"),
		Validations: []registrationv1.Validation{{
			Expression: "object.spec.replicas <= int(params.data.max)", MessageExpression: "'at most ' + params.data.max + ' by ' + params.kind",
		}},
	}
	checks(t, set, "named", spec, &registrationv1.ParamRef{Name: "limit", Namespace: "default", ParameterNotFoundAction: ptr.To(registrationv1.DenyAction)})
	deployments := set.AppsV1().Deployments("default")
	_, err := deployments.Create(ctx, scaled("four", 4), metav1.CreateOptions{})
	refusedBy(t, err, "denied request: at most 3 by ConfigMap")
	if _, err := deployments.Create(ctx, scaled("three", 3), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	selected := &registrationv1.ParamRef{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"limit": "none"}}, ParameterNotFoundAction: ptr.To(registrationv1.AllowAction)}
	checks(t, set, "selected", spec, selected)
	if _, err := deployments.Create(ctx, scaled("two", 2), metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	if err := set.CoreV1().ConfigMaps("default").Delete(ctx, "limit", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.CoreV1().ConfigMaps("default").Get(ctx, "limit", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatal(err) // and the cache knows
	}
	_, err = deployments.Create(ctx, scaled("five", 2), metav1.CreateOptions{})
	refusedBy(t, err, "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction")
	spec.ParamKind = &registrationv1.ParamKind{APIVersion: "example.com/v1", Kind: "Nothing"}
	spec.MatchConstraints = about("", "secrets")
	checks(t, set, "unknown", spec, selected)
	_, err = set.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
	refusedBy(t, err, "failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Nothing'")
}

// TestWhatABindingWantsDone: warn, or refuse; and what the failure policy does about errors.
func TestWhatABindingWantsDone(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.Client()
	labelled := registrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: about("", "configmaps"),
		MatchConditions:  []registrationv1.MatchCondition{{Name: "not-system", Expression: "!request.userInfo.username.startsWith('system:')"}},
		Validations:      []registrationv1.Validation{{Expression: "has(object.metadata.labels)", Message: "label it"}},
		AuditAnnotations: []registrationv1.AuditAnnotation{{Key: "name", ValueExpression: "'made ' + object.metadata.name"}},
	}
	checks(t, set, "labelled", labelled, nil, registrationv1.Warn, registrationv1.Audit)
	answer := server.Do("POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"a"}}`)
	if answer.Code != http.StatusCreated || answer.Header.Get("Warning") != `299 - "Validation failed for ValidatingAdmissionPolicy 'labelled' with binding 'labelled-binding': label it"` {
		t.Errorf("%d, warning %q", answer.Code, answer.Header.Get("Warning"))
	}
	broken := registrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: about("", "configmaps"), FailurePolicy: ptr.To(registrationv1.Ignore),
		Validations: []registrationv1.Validation{{Expression: "object.data.missing == 'x'"}},
	}
	checks(t, set, "ignored", broken, nil)
	if _, err := makeMap(t.Context(), set, "b", map[string]string{"a": "b"}); err != nil {
		t.Errorf("with failure policy Ignore: %v", err)
	}
	broken.FailurePolicy = nil
	checks(t, set, "failing", broken, nil)
	_, err := makeMap(t.Context(), set, "c", map[string]string{"a": "b"})
	refusedBy(t, err, "ValidatingAdmissionPolicy 'failing' with binding 'failing-binding' denied request: expression 'object.data.missing == 'x'' resulted in error: no such key: missing")
}

// TestARunawayPolicy costs a refused request, not the server.
func TestARunawayPolicy(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	const numbers = "[0,1,2,3,4,5,6,7,8,9]"
	within := "true"
	for range 9 {
		within = numbers + ".all(x, " + within + ")"
	}
	checks(t, set, "runaway", registrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: about("", "configmaps"), Validations: []registrationv1.Validation{{Expression: within}},
	}, nil)
	_, err := makeMap(t.Context(), set, "a", nil)
	if err == nil || !strings.Contains(err.Error(), "cost limit exceeded") && !strings.Contains(err.Error(), "running out of cost budget") {
		t.Errorf("%v", err)
	}
}

// TestAPolicyAsksTheAuthorizer about the user of the request.
func TestAPolicyAsksTheAuthorizer(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	checks(t, set, "asks", registrationv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: about("", "configmaps"),
		Validations: []registrationv1.Validation{
			{Expression: "authorizer.requestResource.check('create').allowed()", Message: "may not create"},
			{Expression: "authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('get').allowed()", Message: "nobody may not"},
		},
	}, nil)
	_, err := makeMap(t.Context(), set, "a", nil)
	refusedBy(t, err, "nobody may not")
}

// TestExpressionsAreCheckedWhenTheyAreWritten, with the place and the words of the compiler.
//
// conformance: Mutating Admission webhook, reject mutating webhook configurations with invalid matchConditions
// conformance: Validing Admission webhook, reject validating webhook configurations with invalid matchConditions
func TestExpressionsAreCheckedWhenTheyAreWritten(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	const hook = `{"metadata":{"name":"x"},"webhooks":[{"name":"x.example.com","sideEffects":"None","admissionReviewVersions":["v1"],
		"clientConfig":{"url":"https://127.0.0.1"},"matchConditions":[{"name":"invalid","expression":"... [] bad expression"}]}]}`
	for _, plural := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		answer := server.Do("POST", "/apis/admissionregistration.k8s.io/v1/"+plural, hook)
		if answer.Code != http.StatusUnprocessableEntity || !strings.Contains(answer.Body, "webhooks[0].matchConditions[0].expression: Invalid value") ||
			!strings.Contains(answer.Body, "compilation failed") {
			t.Errorf("%s: %d %s", plural, answer.Code, answer.Body)
		}
	}
	answer := server.Do("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", `{"metadata":{"name":"p"},"spec":{
		"matchConstraints":{"resourceRules":[{"operations":["*"],"apiGroups":["*"],"apiVersions":["*"],"resources":["*"]}]},
		"variables":[{"name":"if","expression":"1"}],
		"validations":[{"expression":"1 + 1"},{"expression":"params.x == 1"},{"expression":"variables.other"}]}}`)
	for _, text := range []string{
		"spec.variables[0].name: Invalid value", "spec.validations[0].expression: Invalid value: \\\"1 + 1\\\": must evaluate to bool but got int",
		"undeclared reference to 'params'", "undefined field 'other'",
	} {
		if !strings.Contains(answer.Body, text) {
			t.Errorf("%q is not in %s", text, answer.Body)
		}
	}
}

// TestAPolicyChangesDeployments by apply configurations and JSON patches, in order.
//
// conformance: [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment [Conformance]
// conformance: [sig-api-machinery] MutatingAdmissionPolicy [Privileged:ClusterAdmin] should mutate a Deployment with annotations [Conformance]
func TestAPolicyChangesDeployments(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	changes(t, set, "annotate", registrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: about("apps", "deployments"),
		Variables:        []registrationv1.Variable{{Name: "wanted", Expression: "object.spec.replicas + 1"}},
		Mutations: []registrationv1.Mutation{
			{PatchType: registrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &registrationv1.ApplyConfiguration{
				Expression: `Object{metadata: Object.metadata{annotations: {"my-foo-annotation": "myAnnotationValue"}}, spec: Object.spec{replicas: variables.wanted}}`,
			}},
			{PatchType: registrationv1.PatchTypeJSONPatch, JSONPatch: &registrationv1.JSONPatch{
				Expression: `[JSONPatch{op: "test", path: "/spec/replicas", value: 4},
					JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey("example.com/x"), value: object.metadata.annotations["my-foo-annotation"]},
					JSONPatch{op: "add", path: "/spec/template/spec/initContainers", value: [Object.spec.template.spec.initContainers{name: "init", image: "i"}]}]`,
			}},
		},
	})
	made, err := set.AppsV1().Deployments("default").Create(t.Context(), scaled("three", 3), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *made.Spec.Replicas != 4 || made.Annotations["my-foo-annotation"] != "myAnnotationValue" || made.Annotations["example.com/x"] != "myAnnotationValue" ||
		len(made.Spec.Template.Spec.InitContainers) != 1 || made.Spec.Template.Spec.InitContainers[0].TerminationMessagePath == "" ||
		made.Spec.Template.Spec.Containers[0].Image != "i" {
		t.Errorf("%d replicas, annotations %v, %+v", *made.Spec.Replicas, made.Annotations, made.Spec.Template.Spec)
	}
	two, err := set.AppsV1().Deployments("default").Create(t.Context(), scaled("two", 2), metav1.CreateOptions{})
	if err != nil || *two.Spec.Replicas != 3 || two.Annotations["example.com/x"] != "" {
		t.Errorf("a patch whose test fails: %v, %v", err, two.Annotations)
	}
}

// TestAPolicyThatCannotChange refuses, and says why.
func TestAPolicyThatCannotChange(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	for name, m := range map[string]struct{ expression, text string }{
		"atomic":  {`Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {"a": "b"}}}}`, "may not mutate atomic arrays, maps or structs: .spec.selector"},
		"unknown": {`Object{spec: Object.spec{nothing: 1}}`, "error applying patch: failed to convert patch object to typed object"},
		"crossed": {`Object{spec: Object.status{replicas: 1}}`, "type mismatch"},
		"fails":   {`Object{spec: Object.spec{replicas: object.spec.none}}`, "no such key: none"},
	} {
		where := about("apps", "deployments")
		where.ResourceRules[0].ResourceNames = []string{name}
		changes(t, set, name, registrationv1.MutatingAdmissionPolicySpec{MatchConstraints: where, Mutations: []registrationv1.Mutation{{
			PatchType: registrationv1.PatchTypeApplyConfiguration, ApplyConfiguration: &registrationv1.ApplyConfiguration{Expression: m.expression}}}})
		_, err := set.AppsV1().Deployments("default").Create(t.Context(), scaled(name, 1), metav1.CreateOptions{})
		if refusedBy(t, err, "policy '"+name+"' with binding '"+name+"-binding' denied request: "); err == nil || !strings.Contains(err.Error(), m.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPoliciesAreAskedAgain when another changes the object after them, if they want to be.
func TestPoliciesAreAskedAgain(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	counting := func(when, add string) []registrationv1.Mutation {
		return []registrationv1.Mutation{{PatchType: registrationv1.PatchTypeJSONPatch, JSONPatch: &registrationv1.JSONPatch{
			Expression: "'" + when + "' in object.data ? [JSONPatch{op: 'add', path: '/data/" + add + "', value: 'yes'}] : []",
		}}}
	}
	changes(t, set, "a", registrationv1.MutatingAdmissionPolicySpec{
		MatchConstraints: about("", "configmaps"), ReinvocationPolicy: registrationv1.IfNeededReinvocationPolicy, Mutations: counting("late", "saw"),
	})
	changes(t, set, "b", registrationv1.MutatingAdmissionPolicySpec{MatchConstraints: about("", "configmaps"), Mutations: counting("start", "late")})
	made, err := makeMap(t.Context(), set, "again", map[string]string{"start": "yes"})
	if err != nil || made.Data["saw"] != "yes" || made.Data["late"] != "yes" {
		t.Errorf("%v, %v", err, made.Data)
	}
}

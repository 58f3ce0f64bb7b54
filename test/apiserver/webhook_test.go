package apiserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
)

// inDefault keeps webhooks away from what the server itself writes.
func inDefault() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "default"}}
}

// validating registers webhooks that may refuse.
func validating(t *testing.T, set *client.Set, name string, change func(*registrationv1.ValidatingWebhook), clients ...registrationv1.WebhookClientConfig) *registrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	config := &registrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "hooks"}}}
	for i, c := range clients {
		w := registrationv1.ValidatingWebhook{
			Name: fmt.Sprintf("%s-%d.example.com", name, i), ClientConfig: c, SideEffects: ptr.To(registrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"}, Rules: []registrationv1.RuleWithOperations{On("", "v1", "configmaps", "CREATE", "UPDATE", "DELETE")},
			NamespaceSelector: inDefault(),
		}
		if change != nil {
			change(&w)
		}
		config.Webhooks = append(config.Webhooks, w)
	}
	made, err := set.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), config, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// mutating registers webhooks that may change objects.
func mutating(t *testing.T, set *client.Set, name string, change func(*registrationv1.MutatingWebhook), clients ...registrationv1.WebhookClientConfig) *registrationv1.MutatingWebhookConfiguration {
	t.Helper()
	config := &registrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "hooks"}}}
	for i, c := range clients {
		w := registrationv1.MutatingWebhook{
			Name: fmt.Sprintf("%s-%d.example.com", name, i), ClientConfig: c, SideEffects: ptr.To(registrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"}, Rules: []registrationv1.RuleWithOperations{On("", "v1", "configmaps", "CREATE", "UPDATE")},
			NamespaceSelector: inDefault(),
		}
		if change != nil {
			change(&w)
		}
		config.Webhooks = append(config.Webhooks, w)
	}
	made, err := set.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), config, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func makeMap(ctx context.Context, set *client.Set, name string, data map[string]string) (*corev1.ConfigMap, error) {
	return set.CoreV1().ConfigMaps("default").Create(ctx, configMap(name, data), metav1.CreateOptions{})
}

// refusedBy fails the test unless err has the text.
func refusedBy(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s", err, text)
	}
}

func plainPod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

// TestAWebhookRefuses what it does not like, on creation and changes alike, but not where its namespace selector does not look.
//
// conformance: Admission webhook, deny create
func TestAWebhookRefuses(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.Client()
	hook := StartWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if strings.Contains(string(r.Object.Raw), "webhook-disallow") {
			return Refuse("the object contains an unwanted key")(r)
		}
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"seen"}, AuditAnnotations: map[string]string{"seen": "yes"}}
	})
	validating(t, set, "deny", func(w *registrationv1.ValidatingWebhook) {
		w.Rules = append(w.Rules, On("", "v1", "pods", "CREATE", "UPDATE"))
		w.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "skip", Operator: metav1.LabelSelectorOpDoesNotExist},
			{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}},
		}}
	}, hook.Client())
	ctx := t.Context()
	const why = `admission webhook "deny-0.example.com" denied the request: the object contains an unwanted key`
	pod := plainPod("webhook-disallow")
	_, err := set.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{})
	if refusedBy(t, err, why); !apierrors.IsBadRequest(err) && apierrors.ReasonForError(err) != "" {
		t.Errorf("reason %q", apierrors.ReasonForError(err))
	}
	_, err = makeMap(ctx, set, "bad", map[string]string{"webhook-disallow": "x"})
	refusedBy(t, err, why)
	good, err := makeMap(ctx, set, "good", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	good.Data["webhook-disallow"] = "x"
	_, err = set.CoreV1().ConfigMaps("default").Update(ctx, good, metav1.UpdateOptions{})
	refusedBy(t, err, why)
	_, err = set.CoreV1().ConfigMaps("default").Patch(ctx, "good", types.MergePatchType, []byte(`{"data":{"webhook-disallow":"x"}}`), metav1.PatchOptions{})
	refusedBy(t, err, why)
	if _, err := set.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "free", Labels: map[string]string{"skip": "yes"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := set.CoreV1().ConfigMaps("free").Create(ctx, configMap("bad", map[string]string{"webhook-disallow": "x"}), metav1.CreateOptions{}); err != nil {
		t.Errorf("in a namespace that is left out: %v", err)
	}
	asked := hook.Asked()
	first, update := asked[0], asked[3]
	if first.Kind.Kind != "Pod" || first.Resource.Resource != "pods" || first.Operation != "CREATE" || first.Name != "webhook-disallow" ||
		first.Namespace != "default" || first.UserInfo.Username != "admin" || *first.DryRun || string(first.OldObject.Raw) != "null" && len(first.OldObject.Raw) > 0 ||
		!strings.Contains(string(first.Options.Raw), `"kind":"CreateOptions"`) {
		t.Errorf("a creation was shown as %+v", first)
	}
	if update.Operation != "UPDATE" || !strings.Contains(string(update.OldObject.Raw), `"kind":"ConfigMap"`) {
		t.Errorf("an update was shown as %+v", update)
	}
	answer := server.Do("POST", "/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"warned"}}`)
	if answer.Header.Get("Warning") != `299 - "seen"` {
		t.Errorf("warning %q", answer.Header.Get("Warning"))
	}
	if err := set.CoreV1().ConfigMaps("default").Delete(ctx, "good", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if last := hook.Asked()[len(hook.Asked())-1]; last.Operation != "DELETE" || len(last.OldObject.Raw) == 0 {
		t.Errorf("a deletion was shown as %+v", last)
	}
}

// TestWebhooksChangeInOrder of their configurations' names; each sees what those before it did, and defaults are filled in.
//
// conformance: Admission webhook, ordered mutation
// conformance: Admission webhook, mutation with defaulting
func TestWebhooksChangeInOrder(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	stage := func(after, adds string) *Webhook {
		return StartWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			if !strings.Contains(string(r.Object.Raw), after) {
				return Allow(r)
			}
			return Patch(fmt.Sprintf(`[{"op":"add","path":"/data/%s","value":"yes"}]`, adds))(r)
		})
	}
	mutating(t, set, "b-second", nil, stage("stage-1", "stage-2").Client())
	mutating(t, set, "a-first", nil, stage("start", "stage-1").Client())
	made, err := makeMap(t.Context(), set, "staged", map[string]string{"start": "yes"})
	if err != nil || made.Data["stage-1"] != "yes" || made.Data["stage-2"] != "yes" {
		t.Errorf("%v, %v", err, made.Data)
	}
	initial := StartWebhook(t, Patch(`[{"op":"add","path":"/spec/initContainers","value":[{"image":"webhook-added-image","name":"added","resources":{}}]}]`))
	mutating(t, set, "init", func(w *registrationv1.MutatingWebhook) {
		w.Rules = []registrationv1.RuleWithOperations{On("", "v1", "pods", "CREATE")}
	}, initial.Client())
	pod, err := set.CoreV1().Pods("default").Create(t.Context(), plainPod("initial"), metav1.CreateOptions{})
	if err != nil || len(pod.Spec.InitContainers) != 1 || pod.Spec.InitContainers[0].TerminationMessagePolicy != corev1.TerminationMessageReadFile {
		t.Errorf("%v, %+v", err, pod.Spec.InitContainers)
	}
}

// TestAWebhookIsAskedAgain when another changes the object after it, if it wants to be.
func TestAWebhookIsAskedAgain(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	early := StartWebhook(t, func(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if strings.Contains(string(r.Object.Raw), "sidecar") {
			return Patch(`[{"op":"add","path":"/data/saw","value":"sidecar"}]`)(r)
		}
		return Allow(r)
	})
	never := StartWebhook(t, Allow)
	late := StartWebhook(t, Patch(`[{"op":"add","path":"/data/sidecar","value":"yes"}]`))
	mutating(t, set, "a", func(w *registrationv1.MutatingWebhook) {
		w.ReinvocationPolicy = ptr.To(registrationv1.IfNeededReinvocationPolicy)
	}, early.Client())
	mutating(t, set, "b", nil, never.Client(), late.Client())
	made, err := makeMap(t.Context(), set, "again", map[string]string{"x": "y"})
	if err != nil || made.Data["saw"] != "sidecar" {
		t.Errorf("%v, %v", err, made.Data)
	}
	if len(early.Asked()) != 2 || len(never.Asked()) != 1 || len(late.Asked()) != 1 {
		t.Errorf("asked %d, %d and %d times", len(early.Asked()), len(never.Asked()), len(late.Asked()))
	}
}

// TestConfigurationsComeAndGo, ten at a time, and are in effect as soon as they are there; what is changed in them, too.
//
// conformance: Admission webhook, list validating webhooks
// conformance: Admission webhook, list mutating webhooks
// conformance: Admission webhook, update validating webhook
// conformance: Admission webhook, update mutating webhook
func TestConfigurationsComeAndGo(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	ctx := t.Context()
	no, mark := StartWebhook(t, Refuse("no")), StartWebhook(t, Patch(`[{"op":"add","path":"/data/marked","value":"yes"}]`))
	all := metav1.ListOptions{LabelSelector: "set=hooks"}
	for i := range 10 {
		validating(t, set, fmt.Sprintf("v%d", i), nil, no.Client())
	}
	validatingClient := set.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if list, err := validatingClient.List(ctx, all); err != nil || len(list.Items) != 10 {
		t.Fatalf("%v, %d", err, len(list.Items))
	}
	_, err := makeMap(ctx, set, "one", nil)
	refusedBy(t, err, "denied the request: no")
	if err := validatingClient.DeleteCollection(ctx, metav1.DeleteOptions{}, all); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		mutating(t, set, fmt.Sprintf("m%d", i), nil, mark.Client())
	}
	made, err := makeMap(ctx, set, "one", map[string]string{"a": "b"})
	if err != nil || made.Data["marked"] != "yes" {
		t.Errorf("%v, %v", err, made.Data)
	}
	mutatingClient := set.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if err := mutatingClient.DeleteCollection(ctx, metav1.DeleteOptions{}, all); err != nil {
		t.Fatal(err)
	}
	if made, err := makeMap(ctx, set, "two", nil); err != nil || made.Data["marked"] != "" {
		t.Errorf("%v, %v", err, made.Data)
	}
	v, m := validating(t, set, "v", nil, no.Client()), mutating(t, set, "m", nil, mark.Client())
	v.Webhooks[0].Rules[0].Operations = []registrationv1.OperationType{"UPDATE"}
	m.Webhooks[0].Rules[0].Operations = []registrationv1.OperationType{"UPDATE"}
	if _, err := validatingClient.Update(ctx, v, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := mutatingClient.Update(ctx, m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if made, err := makeMap(ctx, set, "three", nil); err != nil || made.Data["marked"] != "" {
		t.Errorf("%v, %v", err, made.Data)
	}
	patch := []byte(`[{"op":"replace","path":"/webhooks/0/rules/0/operations","value":["CREATE"]}]`)
	if _, err := mutatingClient.Patch(ctx, "m", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if made, err := makeMap(ctx, set, "four", map[string]string{"a": "b"}); err != nil || made.Data["marked"] != "yes" {
		t.Errorf("%v, %v", err, made.Data)
	}
	if _, err := validatingClient.Patch(ctx, "v", types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = makeMap(ctx, set, "five", map[string]string{"a": "b"})
	refusedBy(t, err, "denied the request: no")
}

// TestAWebhookThatHangs is given up after its own time, and then its failure policy decides.
//
// conformance: Admission webhook, honor timeout
func TestAWebhookThatHangs(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	hangs := StartRawWebhook(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else net/http does not notice that nobody waits any more
		<-r.Context().Done()
	})
	config := validating(t, set, "hangs", func(w *registrationv1.ValidatingWebhook) { w.TimeoutSeconds = ptr.To[int32](1) }, hangs.Client())
	_, err := makeMap(t.Context(), set, "a", nil)
	refusedBy(t, err, `failed calling webhook "hangs-0.example.com": failed to call webhook: Post "`+hangs.URL+`/?timeout=1s": context deadline exceeded`)
	if !apierrors.IsInternalError(err) {
		t.Errorf("reason %s", apierrors.ReasonForError(err))
	}
	config.Webhooks[0].FailurePolicy = ptr.To(registrationv1.Ignore)
	if _, err := set.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := makeMap(t.Context(), set, "a", nil); err != nil {
		t.Errorf("with failure policy Ignore: %v", err)
	}
}

// TestAWebhookThatCannotBeReached is in the way of everything that it should have seen. Without its authority it is not trusted.
//
// conformance: Admission webhook, fail closed
func TestAWebhookThatCannotBeReached(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	hook := StartWebhook(t, Allow)
	stranger := hook.Client()
	stranger.CABundle = nil
	validating(t, set, "stranger", nil, stranger)
	_, err := makeMap(t.Context(), set, "a", nil)
	refusedBy(t, err, "x509: certificate signed by unknown authority")
	gone := registrationv1.WebhookClientConfig{Service: &registrationv1.ServiceReference{Namespace: "default", Name: "gone"}}
	validating(t, set, "away", func(w *registrationv1.ValidatingWebhook) {
		w.Rules = []registrationv1.RuleWithOperations{On("", "v1", "secrets", "CREATE")}
	}, gone)
	_, err = set.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
	refusedBy(t, err, `failed calling webhook "away-0.example.com": failed to call webhook: Post "https://gone.default.svc:443/?timeout=10s": services "gone" not found`)
	if len(hook.Asked()) != 0 {
		t.Error("an untrusted webhook was asked")
	}
}

// TestNobodyLocksThemselvesOut: webhooks are not asked about configurations of webhooks.
//
// conformance: Admission webhook, admission control not allowed on webhook configuration objects
func TestNobodyLocksThemselvesOut(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	everything := func() []registrationv1.RuleWithOperations {
		return []registrationv1.RuleWithOperations{On("admissionregistration.k8s.io", "*", "*/*", "*")}
	}
	no, mark := StartWebhook(t, Refuse("no")), StartWebhook(t, Patch(`[{"op":"add","path":"/metadata/labels","value":{"marked":"yes"}}]`))
	validating(t, set, "no", func(w *registrationv1.ValidatingWebhook) { w.Rules = everything() }, no.Client())
	mutating(t, set, "mark", func(w *registrationv1.MutatingWebhook) { w.Rules = everything() }, mark.Client())
	made := validating(t, set, "new", nil, no.Client())
	if made.Labels["marked"] != "" {
		t.Errorf("a webhook changed a configuration: %v", made.Labels)
	}
	for _, name := range []string{"new", "no"} {
		if err := set.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// TestAttachingIsRefused: connections have options that a webhook can look at.
//
// conformance: Admission webhook, deny attach
func TestAttachingIsRefused(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.Client()
	hook := StartWebhook(t, Refuse("attaching to pod 'to-be-attached-pod' is not allowed"))
	validating(t, set, "attach", func(w *registrationv1.ValidatingWebhook) {
		w.Rules = []registrationv1.RuleWithOperations{On("", "v1", "pods/attach", "CONNECT")}
	}, hook.Client())
	if _, err := set.CoreV1().Pods("default").Create(t.Context(), plainPod("p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	answer := server.Do("POST", "/api/v1/namespaces/default/pods/p/attach?stdin=true", "")
	if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body, "attaching to pod 'to-be-attached-pod' is not allowed") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if asked := hook.Asked(); len(asked) != 1 || asked[0].Kind.Kind != "PodAttachOptions" || asked[0].SubResource != "attach" ||
		!strings.Contains(string(asked[0].Object.Raw), `"stdin":true`) {
		t.Errorf("asked %+v", asked)
	}
}

// TestDryRun asks only webhooks that say what they do then.
func TestDryRun(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	hook := StartWebhook(t, Patch(`[{"op":"add","path":"/data/dry","value":"yes"}]`))
	mutating(t, set, "dry", func(w *registrationv1.MutatingWebhook) {
		w.SideEffects = ptr.To(registrationv1.SideEffectClassNoneOnDryRun)
	}, hook.Client())
	made, err := set.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("m", map[string]string{"a": "b"}), metav1.CreateOptions{DryRun: []string{"All"}})
	if err != nil || made.Data["dry"] != "yes" || !*hook.Asked()[0].DryRun {
		t.Errorf("%v, %v", err, made.Data)
	}
}

// TestAHostileWebhook gets nothing but a refused request, or one that goes on without it.
func TestAHostileWebhook(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	raw := func(body string) registrationv1.WebhookClientConfig {
		return StartRawWebhook(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}).Client()
	}
	endless := StartRawWebhook(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for chunk := []byte(strings.Repeat(" ", 1<<20)); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	for name, c := range map[string]struct {
		client registrationv1.WebhookClientConfig
		text   string
	}{
		"garbage":   {raw(`ceci n'est pas une review`), "failed to call webhook: couldn't get version/kind; json parse error"},
		"empty":     {raw(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`), "received invalid webhook response: webhook response was absent"},
		"uid":       {raw(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"x","allowed":true}}`), `received invalid webhook response: expected response.uid="`},
		"kind":      {raw(`{"kind":"Pod","apiVersion":"v1"}`), "failed to call webhook: "},
		"endless":   {endless.Client(), "the answer has more than 8388608 bytes"},
		"status":    {StartRawWebhook(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }).Client(), `an error on the server ("no") has prevented the request from succeeding`},
		"broken":    {StartWebhook(t, Patch(`[{"op":"replace","path":"/data","value":7}]`)).Client(), "Internal error occurred: json: cannot unmarshal number"},
		"nowhere":   {StartWebhook(t, Patch(`[{"op":"remove","path":"/spec/nothing"}]`)).Client(), "Internal error occurred: "},
		"otherkind": {StartWebhook(t, Patch(`[{"op":"replace","path":"/kind","value":"Secret"}]`)).Client(), "Internal error occurred: the object became a /v1, Kind=Secret"},
		"namespace": {StartWebhook(t, Patch(`[{"op":"replace","path":"/metadata/namespace","value":"kube-system"}]`)).Client(), "the namespace of the provided object does not match the namespace sent on the request"},
		"nopatch":   {StartWebhook(t, Patch(`{}`)).Client(), "received undecodable patch in webhook response"},
		"code": {StartWebhook(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
			return &admissionv1.AdmissionResponse{Result: &metav1.Status{Status: "Success", Code: 100000}}
		}).Client(), "denied the request without explanation"},
	} {
		config := mutating(t, set, name, nil, c.client)
		_, err := makeMap(t.Context(), set, name, map[string]string{"a": "b"})
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
		if err := set.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(t.Context(), config.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMatchConditions narrow what a webhook is asked about; one that does not compile is refused when it is written.
//
// conformance: Mutating Admission webhook, mutating webhook excluding object with specific name
// conformance: Mutating Admission webhook, create and update mutating webhook configuration with matchConditions
// conformance: Validating Admission webhook, create and update validating webhook configuration with matchConditions
func TestMatchConditions(t *testing.T) {
	t.Parallel()
	set := StartComplete(t).Client()
	hook := StartWebhook(t, Patch(`[{"op":"add","path":"/data/marked","value":"yes"}]`))
	config := mutating(t, set, "conditions", func(w *registrationv1.MutatingWebhook) {
		w.MatchConditions = []registrationv1.MatchCondition{
			{Name: "exclude-skip-me", Expression: `object.metadata.name != "skip-me"`},
			{Name: "may-do-that", Expression: `authorizer.group("").resource("configmaps").namespace("default").check("create").allowed()`},
		}
	}, hook.Client())
	for name, wanted := range map[string]string{"skip-me": "", "mark-me": "yes"} {
		if made, err := makeMap(t.Context(), set, name, map[string]string{"a": "b"}); err != nil || made.Data["marked"] != wanted {
			t.Errorf("%s: %v, %v", name, err, made.Data)
		}
	}
	config.Webhooks[0].MatchConditions = []registrationv1.MatchCondition{{Name: "fails", Expression: `object.metadata.labels["none"] == "x"`}}
	updated, err := set.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(t.Context(), config, metav1.UpdateOptions{})
	if err != nil || len(updated.Webhooks[0].MatchConditions) != 1 || updated.Webhooks[0].MatchConditions[0].Name != "fails" {
		t.Fatalf("%v, %+v", err, updated.Webhooks)
	}
	_, err = makeMap(t.Context(), set, "error", map[string]string{"a": "b"})
	if refusedBy(t, err, `no such key: labels`); !apierrors.IsForbidden(err) {
		t.Errorf("%v", err)
	}
	v := validating(t, set, "v", func(w *registrationv1.ValidatingWebhook) {
		w.MatchConditions = []registrationv1.MatchCondition{{Name: "c", Expression: "false"}}
	}, hook.Client())
	v.Webhooks[0].MatchConditions[0].Expression = "true == false"
	if v, err = set.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(t.Context(), v, metav1.UpdateOptions{}); err != nil ||
		v.Webhooks[0].MatchConditions[0].Expression != "true == false" {
		t.Errorf("%v", err)
	}
}

// TestEquivalentVersions: a rule for one version sees requests to others, converted.
func TestEquivalentVersions(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	set := server.Client()
	hook := StartWebhook(t, Patch(`[{"op":"replace","path":"/spec/maxReplicas","value":7}]`))
	mutating(t, set, "hpa", func(w *registrationv1.MutatingWebhook) {
		w.Rules = []registrationv1.RuleWithOperations{On("autoscaling", "v2", "horizontalpodautoscalers", "CREATE")}
	}, hook.Client())
	body := `{"metadata":{"name":"h"},"spec":{"scaleTargetRef":{"kind":"Deployment","name":"d","apiVersion":"apps/v1"},"maxReplicas":3,"targetCPUUtilizationPercentage":50}}`
	answer := server.Do("POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers", body)
	if answer.Code != http.StatusCreated || !strings.Contains(answer.Body, `"maxReplicas":7`) || !strings.Contains(answer.Body, `"apiVersion":"autoscaling/v1"`) {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	asked := hook.Asked()[0]
	if asked.Kind.Version != "v2" || asked.RequestKind.Version != "v1" || !strings.Contains(string(asked.Object.Raw), `"metrics":[`) {
		t.Errorf("asked %+v", asked)
	}
}

// TestDefinitionsAreRefused like any other object.
//
// conformance: Admission webhook, deny custom resource definition
func TestDefinitionsAreRefused(t *testing.T) {
	t.Parallel()
	server := StartComplete(t)
	hook := StartWebhook(t, Refuse("the crd contains unwanted label"))
	validating(t, server.Client(), "crd", func(w *registrationv1.ValidatingWebhook) {
		w.Rules = []registrationv1.RuleWithOperations{On("apiextensions.k8s.io", "*", "customresourcedefinitions", "CREATE")}
	}, hook.Client())
	answer := server.Do("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `{"metadata":{"name":"things.example.com"},"spec":{
		"group":"example.com","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},
		"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`)
	if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body, "the crd contains unwanted label") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

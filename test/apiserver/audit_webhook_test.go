package apiserver

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	registrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/apiserver/audit"
)

// TestAuditTellsWhatWebhooksChanged where the policy shows the bodies of requests, and elsewhere only that they did.
func TestAuditTellsWhatWebhooksChanged(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	made := auditor(t, "--audit-log-path="+log)
	t.Cleanup(made.Close)
	s := StartConfigured(t, func(config *apiserver.Config) { config.Audit = made })
	changes := StartWebhook(t, Patch(`[{"op":"add","path":"/data","value":{"by":"d2ViaG9vaw=="}}]`))
	mutating(t, s.Client(), "set", func(w *registrationv1.MutatingWebhook) {
		w.Rules = append(w.Rules, On("", "v1", "secrets", "CREATE"))
	}, changes.Client(), StartWebhook(t, Allow).Client())
	for _, object := range []struct{ path, body string }{
		{"/api/v1/namespaces/default/configmaps", `{"metadata":{"name":"c"}}`},
		{"/api/v1/namespaces/default/secrets", `{"metadata":{"name":"s"}}`},
	} {
		if a := s.Do("POST", object.path, object.body); a.Code != 201 {
			t.Fatalf("%s: %d %s", object.path, a.Code, a.Body)
		}
	}
	const by = `{"configuration":"set","webhook":"set-`
	mutation := map[string]string{
		"mutation.webhook.admission.k8s.io/round_0_index_0": by + `0.example.com","mutated":true}`,
		"mutation.webhook.admission.k8s.io/round_0_index_1": by + `1.example.com","mutated":false}`,
	}
	patch := map[string]string{
		"patch.webhook.admission.k8s.io/round_0_index_0": by + `0.example.com","patch":[{"op":"add","path":"/data","value":{"by":"d2ViaG9vaw=="}}],"patchType":"JSONPatch"}`,
	}
	told := map[string]map[string]string{}
	for _, e := range readLog(t, log) {
		if e.Verb == "create" && e.ObjectRef != nil && e.ObjectRef.Namespace == "default" && e.User.Username == "admin" {
			told[e.ObjectRef.Resource+" mutation"], told[e.ObjectRef.Resource+" patch"] = annotated(e, "mutation."), annotated(e, "patch.")
		}
	}
	want := map[string]map[string]string{"configmaps mutation": mutation, "configmaps patch": patch, "secrets mutation": mutation, "secrets patch": {}}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// annotated are an event's annotations whose keys begin so.
func annotated(e *audit.Event, prefix string) map[string]string {
	found := map[string]string{}
	for key, value := range e.Annotations {
		if strings.HasPrefix(key, prefix) {
			found[key] = value
		}
	}
	return found
}

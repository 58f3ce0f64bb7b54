package apiserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/apiserver/audit"
)

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: ["system:apiserver"]}
- {level: Metadata, resources: [{resources: [secrets]}]}
- {level: Request, resources: [{resources: [namespaces]}]}
- {level: RequestResponse, resources: [{resources: [configmaps]}, {group: events.k8s.io}]}
- {level: Metadata, nonResourceURLs: ["/version", "/panic"]}
`

// auditor makes what the flags ask for.
func auditor(t *testing.T, args ...string) *audit.Auditor {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	options := &audit.Options{}
	flags := pflag.NewFlagSet("audit", pflag.ContinueOnError)
	options.Add(flags)
	if err := flags.Parse(append(args, "--audit-policy-file="+policy)); err != nil {
		t.Fatal(err)
	}
	made, err := options.Open()
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// told is an event in a line: what matters of it.
func told(e *audit.Event) string {
	words := []string{string(e.Level), string(e.Stage), e.User.Username, e.Verb, e.RequestURI}
	if e.ResponseStatus != nil {
		words = append(words, fmt.Sprint(e.ResponseStatus.Code), string(e.ResponseStatus.Reason))
	}
	for _, object := range []json.RawMessage{e.RequestObject, e.ResponseObject} {
		var shown struct {
			Kind string
			Data map[string]string
		}
		if object != nil && json.Unmarshal(object, &shown) == nil {
			words = append(words, shown.Kind, fmt.Sprint(shown.Data))
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// TestAuditLog follows requests of all sorts into the file.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "logs", "audit.log")
	made := auditor(t, "--audit-log-path="+log)
	t.Cleanup(made.Close)
	s := Start(t, func(c *apiserver.Config) {
		c.Audit = made
		c.Paths = map[string]http.Handler{"/panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") })}
	})
	const maps, secrets = "/api/v1/namespaces/n/configmaps", "/api/v1/namespaces/n/secrets"
	const asProtobuf, patch = "application/vnd.kubernetes.protobuf", "application/merge-patch+json"
	for _, r := range []struct {
		method, path, body string
		headers            []string
		code               int
	}{
		{"POST", "/api/v1/namespaces", `{"metadata":{"name":"n"}}`, nil, 201},
		{"POST", secrets, `{"metadata":{"name":"s"},"stringData":{"k":"hidden"}}`, nil, 201},
		{"POST", maps, `{"metadata":{"name":"c"},"data":{"a":"1"}}`, []string{"Accept", asProtobuf}, 201},
		{"PATCH", maps + "/c", `{"data":{"a":"2"}}`, []string{"Content-Type", patch}, 200},
		{"GET", maps + "/missing", "", nil, 404},
		{"GET", maps + "?watch=true&timeoutSeconds=1", "", nil, 200},
		{"DELETE", maps + "/c", `{"kind":"DeleteOptions","apiVersion":"v1"}`, nil, 200},
		{"GET", secrets + "/s", "", []string{"Impersonate-User", "jane", "Impersonate-Group", "dev"}, 403},
		{"GET", "/version", "", nil, 200},
		{"GET", "/panic", "", nil, 500},
		{"GET", "/livez", "", nil, 200}, // no rule
	} {
		if a := s.Do(r.method, r.path, r.body, r.headers...); a.Code != r.code {
			t.Errorf("%s %s: %d %s", r.method, r.path, a.Code, a.Body)
		}
	}
	// Past HTTP, where nobody reads the answer.
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}
	if err := s.InProcess("worker", "system:masters").Record(t.Context(), eventOf(pod, "e")); err != nil {
		t.Error(err)
	}
	stranger := s.As("nobody")
	stranger.TLSClientConfig = rest.TLSClientConfig{CAData: s.CAData}
	if _, err := s.Clients(stranger).CoreV1().ConfigMaps("n").Get(t.Context(), "c", metav1.GetOptions{}); err == nil {
		t.Error("a stranger was let in")
	}

	events := readLog(t, log)
	var lines []string
	for _, event := range events {
		lines = append(lines, told(event))
		if bytes.Contains(event.ResponseObject, []byte("managedFields")) {
			t.Errorf("managedFields in %s", event.ResponseObject)
		}
	}
	want := []string{
		`Request ResponseComplete admin create /api/v1/namespaces 201 Namespace map[]`,
		`Metadata ResponseComplete admin create /api/v1/namespaces/n/secrets 201`,
		`RequestResponse ResponseComplete admin create /api/v1/namespaces/n/configmaps 201 ConfigMap map[a:1] ConfigMap map[a:1]`,
		`RequestResponse ResponseComplete admin patch /api/v1/namespaces/n/configmaps/c 200 map[a:2] ConfigMap map[a:2]`,
		`RequestResponse ResponseComplete admin get /api/v1/namespaces/n/configmaps/missing 404 NotFound Status map[]`,
		`RequestResponse ResponseStarted admin watch /api/v1/namespaces/n/configmaps?watch=true&timeoutSeconds=1 200`,
		`RequestResponse ResponseComplete admin watch /api/v1/namespaces/n/configmaps?watch=true&timeoutSeconds=1 200`,
		`RequestResponse ResponseComplete admin delete /api/v1/namespaces/n/configmaps/c 200 DeleteOptions map[] Status map[]`,
		`Metadata ResponseComplete admin get /api/v1/namespaces/n/secrets/s 403 Forbidden`,
		`Metadata ResponseComplete admin get /version 200`,
		`Metadata Panic admin get /panic 500 InternalError`,
		`RequestResponse ResponseComplete worker create /apis/events.k8s.io/v1/namespaces/n/events 201 Event map[] Event map[]`,
		`RequestResponse ResponseStarted get /api/v1/namespaces/n/configmaps/c 401 Unauthorized`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	checkRefused(t, events)
}

// checkRefused looks at the event of what jane was refused.
func checkRefused(t *testing.T, events []*audit.Event) {
	t.Helper()
	at := slices.IndexFunc(events, func(e *audit.Event) bool {
		return e.ResponseStatus != nil && e.ResponseStatus.Code == http.StatusForbidden
	})
	if at < 0 {
		t.Fatal("no event of the refusal")
	}
	e := events[at]
	if e.ImpersonatedUser == nil || e.ImpersonatedUser.Username != "jane" || !slices.Contains(e.ImpersonatedUser.Groups, "dev") {
		t.Errorf("impersonated: %+v", e.ImpersonatedUser)
	}
	if e.Annotations["authorization.k8s.io/decision"] != "forbid" {
		t.Errorf("annotations: %v", e.Annotations)
	}
	if ref := e.ObjectRef; ref == nil || ref.Resource != "secrets" || ref.Namespace != "n" || ref.Name != "s" || ref.APIVersion != "v1" {
		t.Errorf("reference: %+v", ref)
	}
	if len(e.SourceIPs) != 1 || e.SourceIPs[0] != "192.0.2.1" || e.AuditID == "" || e.ResponseStatus.Message == "" {
		t.Errorf("event: %+v", e)
	}
}

func readLog(t *testing.T, file string) []*audit.Event {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log's mode: %v, %v", info.Mode(), err)
	}
	var events []*audit.Event
	for lines := bufio.NewScanner(f); lines.Scan(); {
		event := &audit.Event{}
		if err := json.Unmarshal(lines.Bytes(), event); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		events = append(events, event)
	}
	return events
}

func TestAuditWebhook(t *testing.T) {
	t.Parallel()
	type list struct {
		Kind, APIVersion string
		Items            []*audit.Event
	}
	lists := make(chan list, 100)
	attempts := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if attempts++; attempts == 1 {
			http.Error(w, "not yet", http.StatusNotFound) // anything is worth another attempt
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var got list
		if err := json.Unmarshal(body, &got); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		lists <- got
	}))
	defer hook.Close()
	made := auditor(t, "--audit-webhook-config-file="+kubeconfigTo(t, hook.URL+"/audit"), "--audit-webhook-initial-backoff=1ms", "--audit-webhook-batch-max-size=1")
	t.Cleanup(made.Close)
	s := Start(t, func(c *apiserver.Config) { c.Audit = made })
	if a := s.Do("GET", "/version", ""); a.Code != 200 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	got := <-lists
	if got.Kind != "EventList" || got.APIVersion != "audit.k8s.io/v1" || len(got.Items) != 1 || got.Items[0].RequestURI != "/version" || got.Items[0].Kind != "" {
		t.Errorf("got %+v", got)
	}
}

// kubeconfigTo writes a kubeconfig file that names a service.
func kubeconfigTo(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: %q}}]\ncontexts: [{name: a, context: {cluster: a}}]\ncurrent-context: a\n", url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

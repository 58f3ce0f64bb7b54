package apiserver

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/apiserver"
)

// given returns the change that flags of kube-apiserver make to a server.
func given(t *testing.T, flags ...string) func(*apiserver.Config) {
	t.Helper()
	args, err := apiserver.ParseArgs(flags)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *apiserver.Config) {
		end, err := args.Apply(c, &apiserver.Standard{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
	}
}

// TestFlagsAboutTheWire: what every client of a server sees of its flags, before and beside what it asks for.
func TestFlagsAboutTheWire(t *testing.T) {
	t.Parallel()
	s := Start(t, given(t, "disable-http2-serving", "tls-curve-preferences=23", "strict-transport-security-directives=max-age=31536000,includeSubDomains",
		"disabled-metrics=apiserver_request_total,no_such_metric", "enable-logs-handler"))
	a := s.Do("GET", "/readyz", "")
	if got := a.Header.Get("Strict-Transport-Security"); got != "max-age=31536000; includeSubDomains" {
		t.Errorf("Strict-Transport-Security: %q", got)
	}
	host := strings.TrimPrefix(s.URL, "https://")
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}, CurvePreferences: []tls.CurveID{tls.CurveP256}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("protocol: %q", got)
	}
	if other, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}}); err == nil {
		other.Close()
		t.Error("a key exchange that is not allowed was agreed on")
	}
	if text := s.Do("GET", "/metrics", "").Body; strings.Contains(text, "apiserver_request_total") || !strings.Contains(text, "apiserver_request_duration_seconds") {
		t.Error("metrics: the disabled one is shown, or others are not")
	}
	if a := s.Do("GET", "/logs/", ""); a.Code != http.StatusOK {
		t.Errorf("logs: %d", a.Code)
	}
	for _, path := range []string{"/logs/../passwd", "/logs/%2e%2e/%2e%2e/etc/passwd"} {
		if a := s.Do("GET", path, ""); a.Code == http.StatusOK && strings.Contains(a.Body, "root:") {
			t.Errorf("%s leads outside", path)
		}
	}
}

// TestFlagsAboutStorage: objects as JSON in etcd, and collections that are deleted several objects at a time.
func TestFlagsAboutStorage(t *testing.T) {
	t.Parallel()
	s := Start(t, given(t, "storage-media-type=application/json", "delete-collection-workers=3"))
	s.Namespace("n")
	for i := range 10 {
		if a := s.Do("POST", "/api/v1/namespaces/n/configmaps", fmt.Sprintf(`{"metadata":{"name":"c%d"}}`, i)); a.Code != http.StatusCreated {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
	stored, err := s.Etcd.Client().Get(t.Context(), "/registry/configmaps/n/c0")
	if err != nil || len(stored.Kvs) != 1 || !json.Valid(stored.Kvs[0].Value) {
		t.Errorf("stored: %v, %v", stored, err)
	}
	deleted := s.Do("DELETE", "/api/v1/namespaces/n/configmaps", "")
	left := s.Do("GET", "/api/v1/namespaces/n/configmaps", "")
	if deleted.Code != http.StatusOK || strings.Count(deleted.Body, `"name":"c`) != 10 || !strings.Contains(left.Body, `"items":[]`) {
		t.Errorf("deleted: %d %s\nleft: %s", deleted.Code, deleted.Body, left.Body)
	}
}

// TestPrivilegedContainersAreUpToTheServer: refused in Pods and in what Pods are made of, unless it allows them.
func TestPrivilegedContainersAreUpToTheServer(t *testing.T) {
	t.Parallel()
	const spec = `{"containers":[{"name":"c","image":"app:1","securityContext":{"privileged":true}}],"restartPolicy":"%s"}`
	const template = `{"metadata":{"labels":{"a":"b"}},"spec":` + spec + `}`
	always, never := fmt.Sprintf(template, "Always"), fmt.Sprintf(template, "Never")
	bodies := map[string]string{
		"/api/v1/namespaces/n/pods":             `{"metadata":{"name":"x"},"spec":` + fmt.Sprintf(spec, "Always") + `}`,
		"/api/v1/namespaces/n/podtemplates":     `{"metadata":{"name":"x"},"template":` + always + `}`,
		"/apis/apps/v1/namespaces/n/daemonsets": `{"metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + always + `}}`,
		"/apis/batch/v1/namespaces/n/cronjobs":  `{"metadata":{"name":"x"},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":` + never + `}}}}`,
	}
	fields := map[string]string{
		"/api/v1/namespaces/n/pods":             "spec.containers[0].securityContext.privileged",
		"/api/v1/namespaces/n/podtemplates":     "template.spec.containers[0].securityContext.privileged",
		"/apis/apps/v1/namespaces/n/daemonsets": "spec.template.spec.containers[0].securityContext.privileged",
		"/apis/batch/v1/namespaces/n/cronjobs":  "spec.jobTemplate.spec.template.spec.containers[0].securityContext.privileged",
	}
	refusing, allowing := Start(t), Start(t, given(t, "allow-privileged=true"))
	refusing.Namespace("n")
	allowing.Namespace("n")
	for path, body := range bodies {
		want := fields[path] + ": Forbidden: disallowed by cluster policy"
		if a := refusing.Do("POST", path, body); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.Body, want) {
			t.Errorf("%s: %d %s, want %q", path, a.Code, a.Body, want)
		}
		if a := allowing.Do("POST", path, body); a.Code != http.StatusCreated {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
	plain := strings.Replace(bodies["/apis/apps/v1/namespaces/n/daemonsets"], `"privileged":true`, `"privileged":false`, 1)
	if a := refusing.Do("POST", "/apis/apps/v1/namespaces/n/daemonsets", plain); a.Code != http.StatusCreated {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if a := refusing.Do("PUT", "/apis/apps/v1/namespaces/n/daemonsets/x", bodies["/apis/apps/v1/namespaces/n/daemonsets"]); a.Code != http.StatusUnprocessableEntity {
		t.Errorf("update: %d %s", a.Code, a.Body)
	}
}

// TestSwitchedOffAPIsAreNeitherServedNorDescribed, but the server itself goes on using them.
func TestSwitchedOffAPIsAreNeitherServedNorDescribed(t *testing.T) {
	t.Parallel()
	s := Start(t, given(t, "runtime-config=autoscaling/v1=false,apps/v1/daemonsets=false,batch/v1=false,batch/v1/jobs=true"))
	client, err := rest.HTTPClientFor(s.Admin()) // over the network, as it is for clients
	if err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]int{
		"/apis/autoscaling/v1": 404, "/apis/autoscaling/v1/horizontalpodautoscalers": 404, "/apis/autoscaling/v2/horizontalpodautoscalers": 200,
		"/apis/apps/v1/daemonsets": 404, "/apis/apps/v1/deployments": 200, "/apis/batch/v1/cronjobs": 404, "/apis/batch/v1/jobs": 200,
		"/openapi/v3/apis/autoscaling/v1": 404, "/openapi/v3/apis/autoscaling/v2": 200,
	} {
		answer, err := client.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != code {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, code)
		}
	}
	for path, text := range map[string]string{
		"/apis": `"autoscaling/v1"`, "/apis/apps/v1": `"daemonsets"`, "/apis/batch/v1": `"cronjobs"`, "/": `"/apis/autoscaling/v1"`, "/openapi/v3": "apis/autoscaling/v1",
	} {
		if a := s.Do("GET", path, ""); a.Code != http.StatusOK || strings.Contains(a.Body, text) {
			t.Errorf("%s: %d, has %s", path, a.Code, text)
		}
	}
	if _, err := s.InProcess("admin", "system:masters").AppsV1().DaemonSets("").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("in the server's process: %v", err)
	}
}

// TestTheServersOwnServiceAndName: the node port of its Service, and the host that documents name.
func TestTheServersOwnServiceAndName(t *testing.T) {
	t.Parallel()
	s := StartComplete(t, func(standard *apiserver.Standard) {
		standard.ServiceNodePort, standard.ExternalName, standard.NoAnonymous = 30443, "api.example.com", true
	})
	service, err := s.Client().CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.Type != "NodePort" || service.Spec.Ports[0].NodePort != 30443 {
		t.Errorf("Service: %+v, %v", service, err)
	}
	for path, want := range map[string]string{
		"/api": `"serverAddress":"api.example.com:6443"`, "/.well-known/openid-configuration": `"jwks_uri":"https://api.example.com:6443/openid/v1/jwks"`,
	} {
		if a := s.Do("GET", path, ""); !strings.Contains(strings.ReplaceAll(a.Body, `": "`, `":"`), want) {
			t.Errorf("%s: %s, want %s", path, a.Body, want)
		}
	}
}

package apiserver

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/septet-io/septet/apiserver"
)

const admissionFile = `apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: latest}
    exemptions: {namespaces: [kube-system]}
- name: EventRateLimit
  path: events.yaml
- name: PodNodeSelector
  configuration:
    podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: zone=a, default: zone=a}
`

const eventFile = `apiVersion: eventratelimit.admission.k8s.io/v1alpha1
kind: Configuration
limits: [{type: Namespace, qps: 1, burst: 2}]
`

// TestPlugInsAreConfiguredByAFile, and those that are off by default can be turned on.
func TestPlugInsAreConfiguredByAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"admission.yaml": admissionFile, "events.yaml": eventFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := StartComplete(t, func(s *apiserver.Standard) {
		s.AdmissionFile = filepath.Join(dir, "admission.yaml")
		s.EnablePlugins = []string{"EventRateLimit", "PodNodeSelector", "NamespaceAutoProvision", "NamespaceExists", "LimitPodHardAntiAffinityTopology", "AlwaysAdmit"}
		s.DisablePlugins = append(s.DisablePlugins, "NamespaceLifecycle")
	})
	const privileged = `{"metadata":{"name":"p"},"spec":{"hostNetwork":true,"containers":[{"name":"c","image":"i"}]}}`
	post := func(path, body string, code int, text string) {
		t.Helper()
		if answer := server.Do("POST", path, body); answer.Code != code || !strings.Contains(answer.Body, text) {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		}
	}
	post("/api/v1/namespaces/default/pods", privileged, http.StatusForbidden, `violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)`)
	post("/api/v1/namespaces/kube-system/pods", privileged, http.StatusCreated, `"zone":"a"`)
	post("/api/v1/namespaces/default/pods", `{"metadata":{"name":"q"},"spec":{"nodeSelector":{"disk":"ssd"},"containers":[{"name":"c","image":"i"}]}}`,
		http.StatusForbidden, "pod node label selector labels conflict with its namespace whitelist")
	post("/api/v1/namespaces/default/pods", `{"metadata":{"name":"q"},"spec":{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[
		{"topologyKey":"zone","labelSelector":{}}]}},"containers":[{"name":"c","image":"i"}]}}`, http.StatusForbidden, "has TopologyKey zone but only key kubernetes.io/hostname is allowed")
	post("/api/v1/namespaces/fresh/configmaps", `{"metadata":{"name":"m"}}`, http.StatusCreated, "fresh")
	const event = `{"metadata":{"generateName":"e"},"involvedObject":{"namespace":"default","name":"x"}}`
	post("/api/v1/namespaces/default/events", event, http.StatusCreated, "")
	post("/api/v1/namespaces/default/events", event, http.StatusCreated, "")
	for range 20 { // a slow machine lets some more pass
		if server.Do("POST", "/api/v1/namespaces/default/events", event).Code == http.StatusTooManyRequests {
			return
		}
	}
	t.Error("events are not limited")
}

package apiserver

import (
	"strings"
	"testing"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1
        ports: [{containerPort: 80}]
`

func says(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("%q is missing in:\n%s", word, out)
		}
	}
}

// TestKubectlDoesItsDailyWork runs an unmodified kubectl over everything that needs only the API server.
//
// conformance: Kubectl, check version v1
func TestKubectlDoesItsDailyWork(t *testing.T) {
	t.Parallel()
	server := Start(t)
	k := server.Kubectl(server.Admin())
	server.Namespace("default")

	says(t, k.Feed(t, deployment, "apply", "-f", "-"), "deployment.apps/web created")
	says(t, k.Feed(t, deployment, "apply", "-f", "-"), "deployment.apps/web unchanged")
	says(t, k.Feed(t, strings.Replace(deployment, "replicas: 2", "replicas: 3", 1), "apply", "-f", "-"), "configured")
	says(t, k.Run(t, "get", "deployments"), "NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "web", "0/3")
	says(t, k.Run(t, "get", "deploy", "-o", "wide"), "CONTAINERS", "IMAGES", "SELECTOR", "nginx:1", "app=web")
	says(t, k.Run(t, "get", "deploy", "web", "-o", "yaml"), "replicas: 3", "strategy:", "rollingUpdate:", "terminationGracePeriodSeconds: 30", "imagePullPolicy: IfNotPresent")
	says(t, k.Run(t, "describe", "deploy", "web"), "StrategyType:", "RollingUpdate", "25% max unavailable")
	says(t, k.Run(t, "scale", "deploy/web", "--replicas=5"), "scaled")
	says(t, k.Run(t, "get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {.metadata.generation}"), "5 3")
	says(t, k.Run(t, "set", "image", "deploy/web", "web=nginx:2"), "image updated")
	says(t, k.Run(t, "label", "deploy", "web", "tier=front"), "labeled")
	says(t, k.Run(t, "get", "deploy", "-l", "tier=front", "-o", "name"), "deployment.apps/web")
	says(t, k.Run(t, "explain", "deployment.spec.strategy"), "rollingUpdate", "enum: Recreate, RollingUpdate", "Rolling update config params")
	says(t, k.Run(t, "api-resources"), "deployments", "deploy", "apps/v1", "true", "Deployment")
	says(t, k.Run(t, "api-versions"), "apps/v1", "v1", "rbac.authorization.k8s.io/v1")
	says(t, k.Run(t, "version"), "Server Version: v1.36")
	says(t, k.Run(t, "patch", "deploy", "web", "--type=json", "-p", `[{"op":"replace","path":"/spec/replicas","value":1}]`), "patched")
	says(t, k.Feed(t, strings.Replace(deployment, "nginx:1", "nginx:3", 1), "apply", "--server-side", "--force-conflicts", "-f", "-"), "serverside-applied")
	says(t, k.Feed(t, strings.Replace(deployment, "replicas: 2", "replicas: 9", 1), "apply", "--dry-run=server", "-f", "-"), "server dry run")
	says(t, k.Run(t, "get", "--raw", "/readyz?verbose"), "[+]ping ok", "[+]etcd ok", "readyz check passed")
	says(t, k.Run(t, "create", "configmap", "c", "--from-literal=a=b"), "configmap/c created")
	out, err := k.Try("", "create", "configmap", "c")
	if err == nil {
		t.Errorf("creating it again worked")
	}
	says(t, out, `configmaps "c" already exists`)
	out, _ = k.Try("", "get", "configmap", "none")
	says(t, out, `Error from server (NotFound): configmaps "none" not found`)
	out, err = k.Try(strings.Replace(deployment, "replicas:", "replicaz:", 1), "apply", "-f", "-")
	if err == nil {
		t.Errorf("an unknown field was let in")
	}
	says(t, out, `unknown field "spec.replicaz"`)
	says(t, k.Run(t, "delete", "deploy", "web"), `"web" deleted`)
}

// TestKubectlDiffs shows that a diff asks the server what would happen.
//
// conformance: Kubectl, diff Deployment
func TestKubectlDiffs(t *testing.T) {
	t.Parallel()
	server := Start(t)
	k := server.Kubectl(server.Admin())
	server.Namespace("default")
	k.Feed(t, deployment, "apply", "-f", "-")
	out, err := k.Try(strings.Replace(deployment, "nginx:1", "nginx:2", 1), "diff", "-f", "-")
	if err == nil {
		t.Error("no difference was found")
	}
	says(t, out, "-      - image: nginx:1", "+      - image: nginx:2")
}

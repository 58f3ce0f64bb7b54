package apiserver

import (
	"encoding/json"
	"strings"
	"testing"
)

// definitionsV2 are the schemas of the document of version 2.
func definitionsV2(t *testing.T, server *Server) map[string]any {
	t.Helper()
	return server.Do("GET", "/openapi/v2", "").Object(t)["definitions"].(map[string]any)
}

// TestCustomResourcesAreDescribed publishes versions and takes them back.
//
// conformance: Custom Resource OpenAPI Publish, stop serving version
// conformance: Custom Resource OpenAPI Publish, version rename
// conformance: Custom Resource OpenAPI Publish, varying groups
// conformance: Custom Resource OpenAPI Publish, varying kinds
// conformance: Custom Resource OpenAPI Publish, varying versions
func TestCustomResourcesAreDescribed(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	set := server.InProcess("admin", "system:masters")
	define(t, set, hosts)
	define(t, set, strings.ReplaceAll(strings.ReplaceAll(hosts, "host", "peer"), "Host", "Peer"))
	define(t, set, widgets("other.example.com", `{type: object, description: what it is, properties: {a: {type: string, nullable: true}, open: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {b: {type: string}}},
		either: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}}`))
	schemas := definitionsV2(t, server)
	for _, name := range []string{"com.example.net.v1.Host", "com.example.net.v2.Host", "com.example.net.v2.HostList", "com.example.net.v1.Peer", "com.example.other.v1.Widget"} {
		if schemas[name] == nil {
			t.Errorf("%s is not described", name)
		}
	}
	widget, err := json.Marshal(schemas["com.example.other.v1.Widget"])
	if err != nil {
		t.Fatal(err)
	}
	says(t, string(widget), `"x-kubernetes-group-version-kind":[{"group":"other.example.com","kind":"Widget","version":"v1"}]`,
		`"$ref":"#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"`, `"open":{"x-kubernetes-preserve-unknown-fields":true}`, `"a":{}`)
	document := func(path string) string {
		index := server.Do("GET", "/openapi/v3", "").Object(t)["paths"].(map[string]any)
		entry, _ := index[path].(map[string]any)
		if entry == nil {
			return ""
		}
		return server.Do("GET", entry["serverRelativeURL"].(string), "").Body
	}
	says(t, document("apis/net.example.com/v1"), `"com.example.net.v1.Host"`, `"x-kubernetes-selectable-fields":[{"fieldPath":"hostPort"}]`,
		`"/apis/net.example.com/v1/namespaces/{namespace}/hosts/{name}"`, `"#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"`)
	says(t, document("apis/other.example.com/v1"), `"nullable":true`, `"anyOf":[{"type":"integer"},{"type":"string"}]`)

	redefine(t, server, "hosts.net.example.com", `[{"op":"replace","path":"/spec/versions/1/served","value":false}]`)
	if schemas = definitionsV2(t, server); schemas["com.example.net.v2.Host"] != nil || schemas["com.example.net.v1.Host"] == nil {
		t.Error("a version that is served no more is described")
	}
	redefine(t, server, "hosts.net.example.com", `[{"op":"replace","path":"/spec/versions/1/served","value":true},{"op":"replace","path":"/spec/versions/1/name","value":"v3"}]`)
	if schemas = definitionsV2(t, server); schemas["com.example.net.v3.Host"] == nil {
		t.Error("a renamed version is not described")
	}
	says(t, document("apis/net.example.com/v3"), `"com.example.net.v3.HostList"`)
}

// TestKubectlUsesCustomResources lets kubectl explain, validate, apply, print and wait.
//
// conformance: Custom Resource OpenAPI Publish, with validation schema
// conformance: Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields at root
// conformance: Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in object
// conformance: Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in embedded object
func TestKubectlUsesCustomResources(t *testing.T) {
	t.Parallel()
	server := customServer(t)
	k := server.Kubectl(server.Admin())
	crd := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition" + crontabs
	says(t, k.Feed(t, crd, "apply", "-f", "-"), "crontabs.stable.example.com created")
	says(t, k.Run(t, "wait", "--for=condition=Established", "crd/crontabs.stable.example.com"), "condition met")
	const tab = "apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: daily}\nspec: {cronSpec: '@daily'"
	says(t, k.Feed(t, tab+"}", "apply", "-f", "-"), "crontab.stable.example.com/daily created")
	says(t, k.Feed(t, tab+", replicas: 2}", "apply", "-f", "-"), "configured")
	says(t, k.Feed(t, tab+", replicas: 3}", "apply", "--server-side", "--force-conflicts", "-f", "-"), "serverside-applied")
	out, err := k.Try(tab+", unknown: 1}", "create", "-f", "-")
	if err == nil {
		t.Error("kubectl lets unknown fields in")
	}
	says(t, out, `unknown field "spec.unknown"`)
	if _, err = k.Try(strings.Replace(tab, "cronSpec: '@daily'", "image: x", 1)+"}", "create", "-f", "-"); err == nil {
		t.Error("kubectl lets an object without a required field in")
	}
	says(t, k.Run(t, "get", "ct"), "NAME", "AGE", "daily")
	says(t, k.Run(t, "get", "all"), "crontab.stable.example.com/daily")
	says(t, k.Run(t, "get", "crontab", "daily", "-o", "yaml"), "replicas: 3", "image: busybox")
	says(t, k.Run(t, "explain", "crontabs.spec"), "KIND:       CronTab", "cronSpec", "-required-", "replicas", "<integer>")
	says(t, k.Run(t, "explain", "crontabs.metadata"), "Standard object's metadata", "creationTimestamp", "CreationTimestamp is a timestamp")
	says(t, k.Run(t, "patch", "ct", "daily", "--type=merge", "-p", `{"spec":{"replicas":4}}`), "patched")
	says(t, k.Run(t, "describe", "ct", "daily"), "Cron Spec:  @daily")
	says(t, k.Run(t, "delete", "ct", "daily"), "deleted")

	open := "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition" + strings.NewReplacer(
		"stable.example.com", "open.example.com", "type: object\n        properties:\n          spec:", "type: object\n        x-kubernetes-preserve-unknown-fields: true\n        description: of any form\n        properties:\n          spec:",
	).Replace(crontabs)
	k.Feed(t, open, "apply", "-f", "-")
	k.Run(t, "wait", "--for=condition=Established", "crd/crontabs.open.example.com")
	says(t, k.Feed(t, strings.Replace(tab, "stable", "open", 1)+"}\nanything: {goes: 1}", "create", "-f", "-"), "created")
	says(t, k.Run(t, "get", "crontabs.open.example.com", "daily", "-o", "yaml"), "goes: 1")
	says(t, k.Run(t, "explain", "crontabs", "--api-version=open.example.com/v1"), "KIND:       CronTab", "DESCRIPTION")
}

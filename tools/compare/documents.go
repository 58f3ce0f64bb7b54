package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// documents compares what both servers say about themselves.
func documents(ctx context.Context, p pair, r *report) error {
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	calls := []call{{path: "/version"}, {path: "/api"}, {path: "/apis"}, {path: "/api/v1"}, {path: "/api", accept: aggregated}, {path: "/apis", accept: aggregated},
		{path: "/openapi/v2"}, {path: "/openapi/v3"}, {path: "/"}, {path: "/healthz"}, {path: "/livez"}, {path: "/readyz"}, {path: "/bogus"}, {path: "/api/v1/bogus"}, {path: "/apis/bogus"},
		{path: "/.well-known/openid-configuration"},
		{path: "/apis/rbac.authorization.k8s.io/v1/clusterroles"}, {path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"},
		{path: "/apis/rbac.authorization.k8s.io/v1/roles"}, {path: "/apis/rbac.authorization.k8s.io/v1/rolebindings"},
		{path: "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"}, {path: "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations"},
		{path: "/apis/scheduling.k8s.io/v1/priorityclasses"}, {path: "/api/v1/namespaces"}, {path: "/api/v1/configmaps"}, {path: "/api/v1/services"}, {path: "/api/v1/endpoints"},
		{path: "/apis/discovery.k8s.io/v1/endpointslices"}, {path: "/apis/networking.k8s.io/v1/servicecidrs"}, {path: "/apis/networking.k8s.io/v1/ipaddresses"},
		{path: "/apis/coordination.k8s.io/v1/leases"}, {path: "/apis/apiregistration.k8s.io/v1/apiservices"}}
	groups, err := p.theirs.do(ctx, call{method: "GET", path: "/openapi/v3"})
	if err != nil {
		return err
	}
	root, _ := groups.body.(map[string]any)
	paths, _ := root["paths"].(map[string]any)
	for _, path := range keys(paths) {
		calls = append(calls, call{path: "/openapi/v3/" + path})
		if strings.HasPrefix(path, "apis/") {
			calls = append(calls, call{path: "/" + path})
		}
	}
	for _, c := range calls {
		c.method = "GET"
		a, b, err := p.both(ctx, c, c)
		if err != nil {
			return err
		}
		byName(a.body)
		byName(b.body)
		r.add(c.path, c.accept, differences(a, b))
	}
	return nil
}

// byName makes maps of lists of named things, so that one that is missing does not shift all others.
func byName(v any) {
	m, _ := v.(map[string]any)
	for key, inner := range m {
		list, _ := inner.([]any)
		named := map[string]any{}
		for _, item := range list {
			name := nameOf(item)
			if name == "" || named[name] != nil {
				named = nil
				break
			}
			named[name] = item
		}
		if len(named) > 0 {
			m[key] = named
			inner = named
		}
		byName(inner)
	}
}

func nameOf(item any) string {
	m, _ := item.(map[string]any)
	if meta, ok := m["metadata"].(map[string]any); ok {
		m = meta
	}
	for _, key := range []string{"name", "resource", "version", "subresource", "groupVersion"} {
		if name, ok := m[key].(string); ok {
			if ns, ok := m["namespace"].(string); ok {
				name = ns + "/" + name
			}
			return name
		}
	}
	return ""
}

// wire sends the objects of a folder, in which every field has some value, however little they make sense together.
func (c *comparison) wire(ctx context.Context, folder string, kinds []string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m := &unstructured.Unstructured{}
		if err := json.Unmarshal(data, &m.Object); err != nil {
			return err
		}
		if len(kinds) > 0 && !slices.Contains(kinds, m.GetKind()) {
			continue
		}
		served, err := c.find(ctx, m)
		if err != nil {
			continue // not a kind that is served
		}
		m.SetNamespace("")
		m.SetResourceVersion("")
		s := &subject{comparison: c, kind: m.GetKind(), name: m.GetName()}
		path := served.path(m.GroupVersionKind().GroupVersion()) + "?dryRun=All"
		s.same(ctx, "wire", call{method: "POST", path: path, body: m.Object})
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// served is what the server to compare with says about a kind.
type served struct {
	metav1.APIResource
	subresources []metav1.APIResource
}

// path is that of the collection in the namespace that all takes place in.
func (s served) path(gv schema.GroupVersion) string {
	base := "/apis/" + gv.String()
	if gv.Group == "" {
		base = "/api/" + gv.Version
	}
	if s.Namespaced {
		base += "/namespaces/" + namespace
	}
	return base + "/" + s.Name
}

func (s served) has(subresource string) bool {
	return slices.ContainsFunc(s.subresources, func(r metav1.APIResource) bool { return strings.HasSuffix(r.Name, "/"+subresource) })
}

// find looks a kind up in discovery.
func (c *comparison) find(ctx context.Context, m *unstructured.Unstructured) (served, error) {
	gv := m.GroupVersionKind().GroupVersion()
	path := "/apis/" + gv.String()
	if gv.Group == "" {
		path = "/api/" + gv.Version
	}
	a, err := c.pair.theirs.do(ctx, call{method: "GET", path: path})
	if err != nil {
		return served{}, err
	}
	data, err := json.Marshal(a.body)
	if err != nil {
		return served{}, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(data, &list); err != nil {
		return served{}, err
	}
	var out served
	for _, r := range list.APIResources {
		if r.Kind == m.GetKind() && !strings.Contains(r.Name, "/") {
			out.APIResource = r
		}
	}
	if out.Name == "" {
		return out, fmt.Errorf("%s is not served by theirs", m.GroupVersionKind())
	}
	for _, r := range list.APIResources {
		if strings.HasPrefix(r.Name, out.Name+"/") {
			out.subresources = append(out.subresources, r)
		}
	}
	return out, nil
}

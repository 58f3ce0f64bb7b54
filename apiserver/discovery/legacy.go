package discovery

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Serve answers a discovery path; false if there is nothing there.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request) bool {
	m := h.current()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) == 1 && parts[0] == "api":
		return h.root(w, r, m, m.core, "api")
	case len(parts) == 1 && parts[0] == "apis":
		return h.root(w, r, m, m.named, "apis")
	case len(parts) == 2 && parts[0] == "api":
		return m.serveVersion(w, r, schema.GroupVersion{Version: parts[1]})
	case len(parts) == 2 && parts[0] == "apis":
		return m.serveGroup(w, r, parts[1])
	case len(parts) == 3 && parts[0] == "apis":
		return m.serveVersion(w, r, schema.GroupVersion{Group: parts[1], Version: parts[2]})
	}
	return false
}

// root answers /api and /apis, in the old or the aggregated form.
func (h *Handler) root(w http.ResponseWriter, r *http.Request, m *model, groups []apidiscovery.APIGroupDiscovery, which string) bool {
	accept, err := request.Negotiate(r, &offer)
	if err != nil {
		request.Error(w, r, err)
		return true
	}
	w.Header().Add("Vary", "Accept")
	if accept.As != "" {
		m.serveAggregated(w, r, accept, groups, which)
		return true
	}
	if which == "apis" {
		list := &metav1.APIGroupList{Groups: make([]metav1.APIGroup, 0, len(groups))}
		for i := range groups {
			list.Groups = append(list.Groups, groupOf(&groups[i]))
		}
		request.Write(w, r, http.StatusOK, schema.GroupVersionKind{Version: "v1", Kind: "APIGroupList"}, list)
		return true
	}
	versions := &metav1.APIVersions{ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: h.Address}}}
	for i := range groups {
		for _, v := range groups[i].Versions {
			versions.Versions = append(versions.Versions, v.Version)
		}
	}
	request.Write(w, r, http.StatusOK, schema.GroupVersionKind{Kind: "APIVersions"}, versions)
	return true
}

func groupOf(group *apidiscovery.APIGroupDiscovery) metav1.APIGroup {
	g := metav1.APIGroup{Name: group.Name}
	for _, v := range group.Versions {
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: group.Name + "/" + v.Version, Version: v.Version})
	}
	if len(g.Versions) > 0 {
		g.PreferredVersion = g.Versions[0]
	}
	return g
}

func (m *model) serveGroup(w http.ResponseWriter, r *http.Request, name string) bool {
	for i := range m.named {
		if m.named[i].Name == name {
			group := groupOf(&m.named[i])
			request.Write(w, r, http.StatusOK, schema.GroupVersionKind{Version: "v1", Kind: "APIGroup"}, &group)
			return true
		}
	}
	return false
}

// serveVersion answers with the resources of one group version that is served here.
func (m *model) serveVersion(w http.ResponseWriter, r *http.Request, gv schema.GroupVersion) bool {
	local := m.resources[gv]
	if local == nil {
		return false
	}
	hashes := map[string]string{}
	for _, one := range local {
		hashes[one.Kind.Resource.Resource] = storageHash(one.Kind)
	}
	list := &metav1.APIResourceList{GroupVersion: gv.String(), APIResources: []metav1.APIResource{}}
	version := m.version(gv)
	for i := range version.Resources {
		list.APIResources = append(list.APIResources, legacy(&version.Resources[i], hashes)...)
	}
	kind := schema.GroupVersionKind{Version: "v1", Kind: "APIResourceList"}
	if gv.Group == "" {
		kind.Version = "" // upstream's oldest document has none
	}
	request.Write(w, r, http.StatusOK, kind, list)
	return true
}

// legacy lists a resource and its subresources in the old form.
func legacy(d *apidiscovery.APIResourceDiscovery, hashes map[string]string) []metav1.APIResource {
	namespaced := d.Scope == apidiscovery.ScopeNamespace
	list := []metav1.APIResource{{
		Name: d.Resource, SingularName: d.SingularResource, Namespaced: namespaced, Kind: d.ResponseKind.Kind,
		Verbs: d.Verbs, ShortNames: d.ShortNames, Categories: d.Categories, StorageVersionHash: hashes[d.Resource],
	}}
	for _, sub := range d.Subresources {
		list = append(list, metav1.APIResource{
			Name: d.Resource + "/" + sub.Subresource, Namespaced: namespaced, Verbs: sub.Verbs,
			Group: sub.ResponseKind.Group, Version: sub.ResponseKind.Version, Kind: sub.ResponseKind.Kind,
		})
	}
	return list
}

// storageHash lets clients see when the stored version of a kind changes: 8 bytes of the SHA-256 of its name, as upstream.
func storageHash(kind *resource.Kind) string {
	if !kind.Stored() || kind.Resource.Resource == "componentstatuses" {
		return ""
	}
	if kind.StoredAs != nil {
		kind = kind.StoredAs
	}
	gvk := kind.GroupVersionKind
	sum := sha256.Sum256([]byte(gvk.Group + "/" + gvk.Version + "/" + gvk.Kind))
	return base64.StdEncoding.EncodeToString(sum[:8])
}

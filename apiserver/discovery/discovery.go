// Package discovery tells clients what the server serves: the old documents, one a group version, and the aggregated one.
// All are made on demand from one model, apidiscovery.k8s.io/v2, that is kept until the resources change.
package discovery

import (
	"slices"
	"strings"
	"sync"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// Handler serves /api, /apis and what is below them that is no resource.
type Handler struct {
	// Groups, when set, returns groups of aggregated servers and a number that grows when they change. A version that is
	// served here too comes from there. It is asked at each request.
	Groups func() (groups []Group, revision int64)
	// Address is how clients reach this server: host and port, for the legacy document.
	Address string

	registry *rest.Registry

	mu sync.Mutex
	// model is guarded by mu.
	model *model
}

// Group is a group of an aggregated server.
type Group struct {
	apidiscovery.APIGroupDiscovery
	// Priority orders groups: higher first, 1000 is that of custom resources.
	Priority int32
}

// New returns the discovery of what a registry serves.
func New(registry *rest.Registry) *Handler { return &Handler{registry: registry} }

// model is everything at one state.
type model struct {
	local, foreign int64
	// core is group "", named the others in order.
	core, named []apidiscovery.APIGroupDiscovery
	// resources are those served here, by group version.
	resources map[schema.GroupVersion][]*rest.Resource

	documents sync.Map // of *document by format and version
}

// current returns the model of what is served now.
func (h *Handler) current() *model {
	all := h.registry.All()
	var groups []Group
	var foreign int64
	if h.Groups != nil {
		groups, foreign = h.Groups()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.model == nil || h.model.local != all.Revision || h.model.foreign != foreign {
		h.model = build(all, groups)
		h.model.foreign = foreign
	}
	return h.model
}

func build(all *rest.Resources, foreign []Group) *model {
	m := &model{local: all.Revision, resources: map[schema.GroupVersion][]*rest.Resource{}}
	var order []string
	versions := map[string][]string{}
	for _, r := range all.Ordered {
		gv := r.GroupVersionKind.GroupVersion()
		if _, known := versions[gv.Group]; !known {
			order = append(order, gv.Group)
		}
		if !slices.Contains(versions[gv.Group], gv.Version) {
			versions[gv.Group] = append(versions[gv.Group], gv.Version)
		}
		m.resources[gv] = append(m.resources[gv], r)
	}
	var groups []Group
	for i, name := range order {
		group := apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: name}}
		sorted := versions[name]
		slices.SortFunc(sorted, byVersion)
		for _, version := range sorted {
			group.Versions = append(group.Versions, m.version(schema.GroupVersion{Group: name, Version: version}))
		}
		groups = append(groups, Group{group, priority(name, i)})
	}
	for _, group := range merge(groups, foreign) {
		if group.Name == "" {
			m.core = append(m.core, group)
		} else {
			m.named = append(m.named, group)
		}
	}
	return m
}

// priority keeps built-in groups in their order, before custom ones; those with a dot that are not Kubernetes' own are custom.
func priority(name string, index int) int32 {
	if custom := strings.Contains(name, ".") && !strings.HasSuffix(name, ".k8s.io"); custom {
		return 1000
	}
	return int32(18000 - 10*index)
}

// merge puts aggregated groups among those served here.
func merge(local, foreign []Group) []apidiscovery.APIGroupDiscovery {
	groups := slices.Clone(local)
	for _, group := range foreign {
		i := slices.IndexFunc(groups, func(g Group) bool { return g.Name == group.Name })
		if i < 0 {
			groups = append(groups, group)
			continue
		}
		merged := *groups[i].DeepCopy()
		for _, version := range group.Versions {
			merged.Versions = slices.DeleteFunc(merged.Versions, func(v apidiscovery.APIVersionDiscovery) bool { return v.Version == version.Version })
			merged.Versions = append(merged.Versions, version)
		}
		slices.SortStableFunc(merged.Versions, func(a, b apidiscovery.APIVersionDiscovery) int { return byVersion(a.Version, b.Version) })
		groups[i].APIGroupDiscovery = merged
	}
	slices.SortStableFunc(groups, func(a, b Group) int { return int(b.Priority) - int(a.Priority) })
	plain := make([]apidiscovery.APIGroupDiscovery, len(groups))
	for i := range groups {
		plain[i] = groups[i].APIGroupDiscovery
	}
	return plain
}

// version describes what a group version has.
func (m *model) version(gv schema.GroupVersion) apidiscovery.APIVersionDiscovery {
	v := apidiscovery.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscovery.DiscoveryFreshnessCurrent}
	for _, r := range m.resources[gv] {
		v.Resources = append(v.Resources, describe(r.Kind))
	}
	slices.SortFunc(v.Resources, func(a, b apidiscovery.APIResourceDiscovery) int { return strings.Compare(a.Resource, b.Resource) })
	return v
}

func describe(kind *resource.Kind) apidiscovery.APIResourceDiscovery {
	scope := apidiscovery.ScopeCluster
	if kind.Namespaced() {
		scope = apidiscovery.ScopeNamespace
	}
	return apidiscovery.APIResourceDiscovery{
		Resource: kind.Resource.Resource, ResponseKind: &metav1.GroupVersionKind{Kind: kind.GroupVersionKind.Kind},
		Scope: scope, SingularResource: kind.Singular, Verbs: sorted(kind.Verbs),
		ShortNames: kind.Short, Categories: kind.Categories, Subresources: subresources(kind),
	}
}

func subresources(kind *resource.Kind) []apidiscovery.APISubresourceDiscovery {
	var all []apidiscovery.APISubresourceDiscovery
	own := metav1.GroupVersionKind{Kind: kind.GroupVersionKind.Kind}
	for _, view := range kind.Views {
		all = append(all, apidiscovery.APISubresourceDiscovery{Subresource: view.Name, ResponseKind: &own, Verbs: sorted(view.Verbs)})
	}
	if kind.Scale != nil {
		all = append(all, apidiscovery.APISubresourceDiscovery{
			Subresource: "scale", ResponseKind: &metav1.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"},
			Verbs: []string{"get", "patch", "update"},
		})
	}
	for _, c := range kind.Connectors {
		answer := metav1.GroupVersionKind{Group: c.Kind.Group, Version: c.Kind.Version, Kind: c.Kind.Kind}
		if c.Kind.GroupVersion() == kind.GroupVersionKind.GroupVersion() {
			answer.Group, answer.Version = "", ""
		}
		all = append(all, apidiscovery.APISubresourceDiscovery{Subresource: c.Name, ResponseKind: &answer, Verbs: sorted(c.Verbs)})
	}
	slices.SortFunc(all, func(a, b apidiscovery.APISubresourceDiscovery) int {
		return strings.Compare(a.Subresource, b.Subresource)
	})
	return all
}

func sorted(verbs []string) []string {
	verbs = slices.Clone(verbs)
	slices.Sort(verbs)
	return verbs
}

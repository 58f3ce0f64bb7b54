// Package discovery tells clients what the server serves: the old documents, one a group version, and the aggregated one.
// All are made on demand from one model, apidiscovery.k8s.io/v2, that is kept until the resources change.
package discovery

import (
	"cmp"
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
	// Foreign, when set, returns the group versions of other servers and a number that changes when they do. One that is
	// served here too comes from there. It is asked at each request.
	Foreign func() (versions []Version, revision int64)
	// Address is how clients reach this server: host and port, for the legacy document.
	Address string

	registry *rest.Registry

	mu sync.Mutex
	// model is guarded by mu.
	model *model
}

// Version is a group version with its place in lists.
type Version struct {
	Group                          string
	GroupPriority, VersionPriority int32
	apidiscovery.APIVersionDiscovery
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
	var versions []Version
	var foreign int64
	if h.Foreign != nil {
		versions, foreign = h.Foreign()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.model == nil || h.model.local != all.Revision || h.model.foreign != foreign {
		h.model = build(all, versions)
		h.model.foreign = foreign
	}
	return h.model
}

func build(all *rest.Resources, foreign []Version) *model {
	m := &model{local: all.Revision, resources: map[schema.GroupVersion][]*rest.Resource{}}
	for r := range all.Shown() {
		gv := r.GroupVersionKind.GroupVersion()
		m.resources[gv] = append(m.resources[gv], r)
	}
	versions := slices.Clone(foreign)
	for gv := range m.resources {
		elsewhere := func(v Version) bool { return v.Group == gv.Group && v.APIVersionDiscovery.Version == gv.Version }
		if slices.ContainsFunc(foreign, elsewhere) {
			delete(m.resources, gv)
			continue
		}
		p, _ := PriorityOf(gv)
		versions = append(versions, Version{gv.Group, p.Group, p.Version, m.version(gv)})
	}
	for _, group := range arrange(versions) {
		if group.Name == "" {
			m.core = append(m.core, group)
		} else {
			m.named = append(m.named, group)
		}
	}
	return m
}

// arrange puts versions into groups, and both into order: by priority, then by name. A group's priority is its versions' highest.
func arrange(versions []Version) []apidiscovery.APIGroupDiscovery {
	priority := map[string]int32{}
	for i := range versions {
		priority[versions[i].Group] = max(priority[versions[i].Group], versions[i].GroupPriority)
	}
	slices.SortFunc(versions, func(a, b Version) int {
		return cmp.Or(
			cmp.Compare(priority[b.Group], priority[a.Group]), strings.Compare(a.Group, b.Group),
			cmp.Compare(b.VersionPriority, a.VersionPriority), byVersion(a.APIVersionDiscovery.Version, b.APIVersionDiscovery.Version),
		)
	})
	var groups []apidiscovery.APIGroupDiscovery
	for i := range versions {
		v := &versions[i]
		if len(groups) == 0 || groups[len(groups)-1].Name != v.Group {
			groups = append(groups, apidiscovery.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: v.Group}})
		}
		last := &groups[len(groups)-1]
		last.Versions = append(last.Versions, v.APIVersionDiscovery)
	}
	return groups
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

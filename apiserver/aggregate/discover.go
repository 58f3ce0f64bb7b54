package aggregate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	apidiscovery "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/discovery"
)

// known is what a server has said about its group version.
type known struct {
	version apidiscovery.APIVersionDiscovery
	// tag of the document that it comes from, to ask for changes only.
	tag string
}

// maxDocument bounds documents of other servers. The largest that is seen in the wild, OpenAPI v2 of many kinds, has some megabytes.
const maxDocument = 64 << 20

// acceptDiscovery asks for all groups at once, as JSON: both versions of the document have the same fields.
const acceptDiscovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList," +
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

// Versions are the group versions of other servers for the discovery documents, and a number that changes when they do.
func (a *Aggregator) Versions() ([]discovery.Version, int64) {
	revision := changes.Load()
	remotes := a.remotes()
	versions := make([]discovery.Version, 0, len(remotes))
	for gv, r := range remotes {
		v := discovery.Version{Group: gv.Group, GroupPriority: r.spec.GroupPriorityMinimum, VersionPriority: r.spec.VersionPriority}
		if found := r.discovery.Load(); found != nil {
			v.APIVersionDiscovery = found.version
		} else {
			v.APIVersionDiscovery = apidiscovery.APIVersionDiscovery{Version: gv.Version, Freshness: apidiscovery.DiscoveryFreshnessStale}
		}
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(x, y discovery.Version) int {
		return cmp.Or(strings.Compare(x.Group, y.Group), strings.Compare(x.APIVersionDiscovery.Version, y.APIVersionDiscovery.Version))
	})
	return versions, revision
}

// learn asks the server what it has. What was known stays, as stale, if it does not say.
func (r *remote) learn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	found, err := r.ask(ctx)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Cannot learn what an APIService has", "apiService", r.name, "err", err)
		r.stale()
		return
	}
	found.version.Version, found.version.Freshness = r.spec.Version, apidiscovery.DiscoveryFreshnessCurrent
	r.publish(found)
}

// stale marks what is known as possibly no longer true.
func (r *remote) stale() {
	next := known{version: apidiscovery.APIVersionDiscovery{Version: r.spec.Version}}
	if before := r.discovery.Load(); before != nil {
		next = *before
	}
	next.version.Freshness = apidiscovery.DiscoveryFreshnessStale
	r.publish(&next)
}

func (r *remote) publish(next *known) {
	before := r.discovery.Swap(next)
	if before == nil || !equality.Semantic.DeepEqual(before.version, next.version) {
		changes.Add(1)
	}
}

// ask gets the aggregated document, or from servers that have none the older one of the group version.
func (r *remote) ask(ctx context.Context) (*known, error) {
	header := http.Header{"Accept": {acceptDiscovery}}
	before := r.discovery.Load()
	if before != nil && before.tag != "" {
		header.Set("If-None-Match", before.tag)
	}
	answer, err := r.get(ctx, "/apis", aggregatorUser, header)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotModified && before != nil {
		return &known{before.version, before.tag}, nil
	}
	if answer.StatusCode == http.StatusServiceUnavailable {
		return nil, errors.New("service unavailable")
	}
	if _, params, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); answer.StatusCode != http.StatusOK || err != nil || params["as"] != "APIGroupDiscoveryList" {
		return r.askLegacy(ctx)
	}
	var list apidiscovery.APIGroupDiscoveryList
	if err := decode(answer.Body, &list); err != nil {
		return nil, err
	}
	return &known{r.own(&list), answer.Header.Get("ETag")}, nil
}

// own finds the group version among all that the server has; it is empty if the server does not name it.
func (r *remote) own(list *apidiscovery.APIGroupDiscoveryList) apidiscovery.APIVersionDiscovery {
	for i := range list.Items {
		for j := range list.Items[i].Versions {
			if list.Items[i].Name == r.spec.Group && list.Items[i].Versions[j].Version == r.spec.Version {
				found := list.Items[i].Versions[j]
				completeKinds(&found)
				return found
			}
		}
	}
	return apidiscovery.APIVersionDiscovery{Version: r.spec.Version}
}

// completeKinds fills in what clients from 0.26.0 to 0.26.3 crash without.
func completeKinds(v *apidiscovery.APIVersionDiscovery) {
	for i := range v.Resources {
		one := &v.Resources[i]
		if one.ResponseKind == nil {
			one.ResponseKind = &metav1.GroupVersionKind{}
		}
		for j := range one.Subresources {
			if one.Subresources[j].ResponseKind == nil {
				one.Subresources[j].ResponseKind = &metav1.GroupVersionKind{}
			}
		}
	}
}

func (r *remote) askLegacy(ctx context.Context) (*known, error) {
	path := "/apis/" + r.groupVersion().String()
	if r.spec.Group == "" {
		path = "/api/" + r.spec.Version
	}
	answer, err := r.get(ctx, path, aggregatorUser, http.Header{"Accept": {"application/json"}})
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", path, answer.StatusCode)
	}
	var list metav1.APIResourceList
	if err := decode(answer.Body, &list); err != nil {
		return nil, err
	}
	return &known{version: fromLegacy(list.APIResources)}, nil
}

// fromLegacy turns the older list, in which subresources stand beside their resources, into the newer form.
func fromLegacy(list []metav1.APIResource) apidiscovery.APIVersionDiscovery {
	var v apidiscovery.APIVersionDiscovery
	at := map[string]int{}
	for i := range list {
		one := &list[i]
		if strings.Contains(one.Name, "/") {
			continue
		}
		at[one.Name] = len(v.Resources)
		v.Resources = append(v.Resources, apidiscovery.APIResourceDiscovery{
			Resource: one.Name, ResponseKind: kindOf(one), Scope: scopeOf(one), SingularResource: one.SingularName,
			Verbs: one.Verbs, ShortNames: one.ShortNames, Categories: one.Categories,
		})
	}
	for i := range list {
		one := &list[i]
		parent, sub, is := strings.Cut(one.Name, "/")
		if !is {
			continue
		}
		j, known := at[parent]
		if !known { // a subresource of something that cannot be asked for itself
			j = len(v.Resources)
			at[parent] = j
			v.Resources = append(v.Resources, apidiscovery.APIResourceDiscovery{Resource: parent, ResponseKind: &metav1.GroupVersionKind{}, Scope: scopeOf(one)})
		}
		v.Resources[j].Subresources = append(v.Resources[j].Subresources, apidiscovery.APISubresourceDiscovery{
			Subresource: sub, ResponseKind: kindOf(one), Verbs: one.Verbs,
		})
	}
	return v
}

func kindOf(one *metav1.APIResource) *metav1.GroupVersionKind {
	return &metav1.GroupVersionKind{Group: one.Group, Version: one.Version, Kind: one.Kind}
}

func scopeOf(one *metav1.APIResource) apidiscovery.ResourceScope {
	if one.Namespaced {
		return apidiscovery.ScopeNamespace
	}
	return apidiscovery.ScopeCluster
}

// read returns a body of at most maxDocument bytes.
func read(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, maxDocument+1))
	if err == nil && len(data) > maxDocument {
		err = fmt.Errorf("the document has more than %d bytes", maxDocument)
	}
	return data, err
}

func decode(body io.Reader, into any) error {
	data, err := read(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// hashOf stands for a document whose server gives it no tag.
func hashOf(data []byte) string { return fmt.Sprintf("%q", fmt.Sprintf("%X", sha256.Sum256(data))) }

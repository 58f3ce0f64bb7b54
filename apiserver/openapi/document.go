package openapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/daemon"
)

type (
	// document is an OpenAPI v3 document.
	document struct {
		OpenAPI    string              `json:"openapi"`
		Info       object              `json:"info"`
		Paths      map[string]pathItem `json:"paths"`
		Components components          `json:"components"`
	}
	components struct {
		Schemas  map[string]json.RawMessage `json:"schemas,omitempty"`
		Security object                     `json:"securitySchemes"`
	}
)

var bearer = object{"BearerToken": object{"description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey"}}

func newDocument(paths map[string]pathItem) *document {
	return &document{
		OpenAPI: "3.0.0", Info: object{"title": "Kubernetes", "version": daemon.KubernetesVersion},
		Paths: paths, Components: components{Security: bearer},
	}
}

// groupVersion is the document of one group version.
func groupVersion(d *definitions, gv schema.GroupVersion, all []*rest.Resource) (*document, error) {
	if err := d.addCustom(all); err != nil {
		return nil, err
	}
	describe := newDescriber(d, gv)
	describe.resources(all)
	doc := newDocument(describe.paths)
	paths, err := json.Marshal(describe.paths)
	if err != nil {
		return nil, err
	}
	doc.Components.Schemas = d.closure(refs(paths))
	return doc, stampKinds(doc.Components.Schemas, kindsOf(all, gv))
}

// kindsOf are which kinds schemas stand for, by schema name.
func kindsOf(all []*rest.Resource, gv schema.GroupVersion) map[string][]*kindName {
	kinds := map[string][]*kindName{
		metaTypes + "Status":                        {{Kind: "Status", Version: "v1"}},
		metaTypes + "APIResourceList":               {{Kind: "APIResourceList", Version: "v1"}},
		metaTypes + "APIGroup":                      {{Kind: "APIGroup", Version: "v1"}},
		metaTypes + "APIGroupList":                  {{Kind: "APIGroupList", Version: "v1"}},
		metaTypes + "APIVersions":                   {{Kind: "APIVersions", Version: "v1"}},
		"io.k8s.api.autoscaling.v1.Scale":           {{Group: "autoscaling", Kind: "Scale", Version: "v1"}},
		"io.k8s.api.policy.v1.Eviction":             {{Group: "policy", Kind: "Eviction", Version: "v1"}},
		"io.k8s.api.authentication.v1.TokenRequest": {{Group: "authentication.k8s.io", Kind: "TokenRequest", Version: "v1"}},
		"io.k8s.api.core.v1.PersistentVolumeClaim":  {{Kind: "PersistentVolumeClaim", Version: "v1"}},
	}
	own := []*kindName{{Kind: "DeleteOptions", Version: "v1"}}
	event := []*kindName{{Kind: "WatchEvent", Version: "v1"}}
	if gv.Group != "" {
		own = append(own, &kindName{Group: gv.Group, Kind: "DeleteOptions", Version: gv.Version})
		event = append(event, &kindName{Group: gv.Group, Kind: "WatchEvent", Version: gv.Version})
	}
	kinds[metaTypes+"DeleteOptions"], kinds[metaTypes+"WatchEvent"] = own, event
	for _, r := range all {
		name, gvk := typeName(r.Kind), r.GroupVersionKind
		kinds[name] = []*kindName{nameOf(gvk)}
		gvk.Kind = r.ListKind
		kinds[listName(r.Kind)] = []*kindName{nameOf(gvk)}
	}
	return kinds
}

// stampKinds adds x-kubernetes-group-version-kind to the schemas of kinds. A schema may be shared with other documents, so
// it is replaced, not changed.
func stampKinds(schemas map[string]json.RawMessage, kinds map[string][]*kindName) error {
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		list := kinds[name]
		if list == nil {
			continue
		}
		stamp, err := json.Marshal(list)
		if err != nil {
			return err
		}
		old := bytes.TrimSuffix(bytes.TrimSpace(schemas[name]), []byte("}"))
		stamped := append(slices.Clone(old), `,"x-kubernetes-group-version-kind":`...)
		schemas[name] = append(append(stamped, stamp...), '}')
	}
	return nil
}

// root is the document of a path that only lists what is below: /api/, /apis/, /apis/apps/.
func root(d *definitions, path, id, text, tag, answer string) (*document, error) {
	doc := newDocument(map[string]pathItem{path: item(map[string]*operation{"get": {
		Description: text, ID: id, Tags: []string{tag}, Responses: responses(ref(metaTypes+answer), roots, "200"),
	}})})
	doc.Components.Schemas = d.closure([]string{metaTypes + answer})
	return doc, stampKinds(doc.Components.Schemas, kindsOf(nil, schema.GroupVersion{}))
}

// plain is the document of a path outside the API machinery.
func plain(d *definitions, path, id, text, tag, mediaType, answer string) *document {
	body := object{"type": "string"}
	doc := newDocument(nil)
	if answer != "" {
		body = ref(answer)
		doc.Components.Schemas = d.closure([]string{answer})
	}
	doc.Paths = map[string]pathItem{path: item(map[string]*operation{"get": {
		Description: text, ID: id, Tags: []string{tag}, Responses: responses(body, []string{mediaType}, "200"),
	}})}
	return doc
}

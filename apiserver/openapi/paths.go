package openapi

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// describer writes the paths of one group version.
type describer struct {
	*definitions
	gv    schema.GroupVersion
	root  string // /apis/apps/v1
	upper string // AppsV1
	tag   string // apps_v1
	paths map[string]pathItem
}

func newDescriber(d *definitions, gv schema.GroupVersion) *describer {
	upper, lower := groupNames(gv.Group)
	root := "/apis/" + gv.Group + "/" + gv.Version
	if gv.Group == "" {
		root = "/api/" + gv.Version
	}
	return &describer{definitions: d, gv: gv, root: root, upper: upper + capital(gv.Version), tag: lower + "_" + gv.Version, paths: map[string]pathItem{}}
}

// resources describes all of a group version.
func (d *describer) resources(all []*rest.Resource) {
	d.paths[d.root+"/"] = item(map[string]*operation{"get": {
		Description: "get available resources", ID: "get" + d.upper + "APIResources", Tags: []string{d.tag},
		Responses: responses(ref(metaTypes+"APIResourceList"), answers, "200"),
	}})
	for _, r := range all {
		d.resource(r)
	}
}

// target is one resource as its operations name it.
type target struct {
	*describer
	r       *rest.Resource
	kind    string // Deployment
	id      string // AppsV1NamespacedDeployment
	schema  object
	list    object
	answers []string    // media types of its objects
	inScope []parameter // namespace
	named   []parameter // name and namespace
}

func (d *describer) resource(r *rest.Resource) {
	name := typeName(r.Kind)
	t := &target{describer: d, r: r, answers: answers, kind: r.GroupVersionKind.Kind, id: d.upper + r.GroupVersionKind.Kind, schema: ref(name), list: ref(listName(r.Kind))}
	if r.Custom != nil {
		t.answers = readable
	}
	base := d.root + "/" + r.Kind.Resource.Resource
	if r.Namespaced() {
		t.id = d.upper + "Namespaced" + t.kind
		t.inScope = []parameter{inPath("namespace", "object name and auth scope, such as for teams and projects")}
		d.everywhere(t, base)
		base = d.root + "/namespaces/{namespace}/" + r.Kind.Resource.Resource
	}
	t.named = append([]parameter{inPath("name", "name of the "+t.kind)}, t.inScope...)
	d.add(base, t.collection())
	d.add(base+"/{name}", t.single())
	for _, view := range r.Views {
		d.add(base+"/{name}/"+view.Name, t.view(view))
	}
	if r.Scale != nil {
		scale := *t
		scale.schema = ref("io.k8s.api.autoscaling.v1.Scale")
		scale.named = append([]parameter{inPath("name", "name of the Scale")}, t.inScope...)
		operations := scale.view(resource.KindView{Name: "scale", Verbs: []string{"get", "patch", "update"}})
		for _, op := range operations {
			op.Kind = &kindName{Group: "autoscaling", Kind: "Scale", Version: "v1"}
		}
		d.add(base+"/{name}/scale", operations)
	}
	for _, c := range r.Connectors {
		d.connector(t, base+"/{name}/"+c.Name, c)
	}
	d.oldWatches(t, base)
}

func (d *describer) add(path string, operations map[string]*operation) {
	if len(operations) > 0 {
		d.paths[path] = item(operations)
	}
}

// op begins an operation on the target.
func (t *target) op(action, id, description string, parameters ...[]parameter) *operation {
	return &operation{
		Description: description, ID: id, Tags: []string{t.tag}, Action: action, Kind: nameOf(t.r.GroupVersionKind),
		Parameters: slices.Concat(append(parameters, []parameter{pretty})...),
	}
}

func (t *target) verb(name string) bool { return slices.Contains(t.r.Verbs, name) }

// everywhere is the list of a namespaced kind in all namespaces.
func (d *describer) everywhere(t *target, base string) {
	if !t.verb("list") {
		return
	}
	op := t.op("list", "list"+d.upper+t.kind+"ForAllNamespaces", t.listText(), d.options(metaTypes+"ListOptions"))
	op.Responses = responses(t.list, t.streams(), "200")
	d.add(base, map[string]*operation{"get": op})
}

// streams are the media types of a list that may be a watch.
func (t *target) streams() []string {
	if t.r.Custom != nil {
		return t.answers
	}
	return append(slices.Clone(t.answers), streams...)
}

// patches are the media types of patches; custom resources have no strategic merge.
func (t *target) patches() []string {
	if t.r.Custom != nil {
		return []string{"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"}
	}
	return patches
}

func (t *target) listText() string {
	if t.verb("watch") {
		return "list or watch objects of kind " + t.kind
	}
	return "list objects of kind " + t.kind
}

// collection has list, create and delete of many.
func (t *target) collection() map[string]*operation {
	all := map[string]*operation{}
	if t.verb("list") {
		op := t.op("list", "list"+t.id, t.listText(), t.inScope, t.options(metaTypes+"ListOptions"))
		op.Responses = responses(t.list, t.streams(), "200")
		all["get"] = op
	}
	if t.verb("create") {
		op := t.op("post", "create"+t.id, "create "+article(t.kind)+t.kind, t.inScope, t.options(metaTypes+"CreateOptions"))
		op.Body = object{"content": content(t.schema, []string{"*/*"}), "required": true}
		op.Responses = responses(t.schema, t.answers, "200", "201", "202")
		all["post"] = op
	}
	if t.verb("deletecollection") {
		id := strings.Replace("delete"+t.id, "delete"+t.upper, "delete"+t.upper+"Collection", 1)
		listed := t.options(metaTypes+"ListOptions", "watch", "allowWatchBookmarks")
		op := t.op("deletecollection", id, "delete collection of "+t.kind, t.inScope, listed, t.options(metaTypes+"DeleteOptions"))
		op.Body = object{"content": content(ref(metaTypes+"DeleteOptions"), []string{"*/*"})}
		op.Responses = responses(ref(metaTypes+"Status"), t.answers, "200")
		all["delete"] = op
	}
	return all
}

// single has the verbs of one object.
func (t *target) single() map[string]*operation {
	var verbs []string
	for _, verb := range []string{"get", "patch", "update"} {
		if t.verb(verb) {
			verbs = append(verbs, verb)
		}
	}
	all := t.view(resource.KindView{Verbs: verbs})
	if t.verb("delete") {
		op := t.op("delete", "delete"+t.id, "delete "+article(t.kind)+t.kind, t.named, t.options(metaTypes+"DeleteOptions"))
		op.Body = object{"content": content(ref(metaTypes+"DeleteOptions"), []string{"*/*"})}
		answer := ref(metaTypes + "Status")
		if rest.ReturnsDeleted(t.r.GroupResource()) {
			answer = t.schema
		}
		op.Responses = responses(answer, t.answers, "200", "202")
		all["delete"] = op
	}
	return all
}

// view has get, replace and patch of an object or a part of it.
func (t *target) view(view resource.KindView) map[string]*operation {
	of := ""
	if view.Name != "" {
		of = view.Name + " of "
	}
	id, text := t.id+capital(view.Name), of+"the specified "+t.kind
	all := map[string]*operation{}
	for _, verb := range view.Verbs {
		switch verb {
		case "get":
			op := t.op("get", "read"+id, "read "+text, t.named)
			op.Responses = responses(t.schema, t.answers, "200")
			all["get"] = op
		case "update":
			op := t.op("put", "replace"+id, "replace "+text, t.named, t.options(metaTypes+"UpdateOptions"))
			op.Body = object{"content": content(t.schema, []string{"*/*"}), "required": true}
			op.Responses = responses(t.schema, t.answers, "200", "201")
			all["put"] = op
		case "patch":
			op := t.op("patch", "patch"+id, "partially update "+text, t.named, t.options(metaTypes+"PatchOptions"))
			op.Body = object{"content": content(ref(metaTypes+"Patch"), t.patches()), "required": true}
			op.Responses = responses(t.schema, t.answers, "200", "201")
			all["patch"] = op
		}
	}
	return all
}

const (
	watchText     = "watch changes to an object of kind %s. deprecated: use the 'watch' parameter with a list operation instead, filtered to a single item with the 'fieldSelector' parameter."
	watchListText = "watch individual changes to a list of %s. deprecated: use the 'watch' parameter with a list operation instead."
)

// oldWatches are the deprecated paths below /watch/.
func (d *describer) oldWatches(t *target, base string) {
	if !t.verb("watch") || t.r.Custom != nil {
		return
	}
	under := func(path string) string { return d.root + "/watch" + strings.TrimPrefix(path, d.root) }
	watch := func(path, action, id, text string, parameters ...[]parameter) {
		op := t.op(action, id, strings.Replace(text, "%s", t.kind, 1), append(parameters, d.options(metaTypes+"ListOptions"))...)
		op.Responses = responses(ref(metaTypes+"WatchEvent"), t.streams(), "200")
		d.add(under(path), map[string]*operation{"get": op})
	}
	watch(base, "watchlist", "watch"+t.id+"List", watchListText, t.inScope)
	watch(base+"/{name}", "watch", "watch"+t.id, watchText, t.named)
	if t.r.Namespaced() {
		watch(d.root+"/"+t.r.Kind.Resource.Resource, "watchlist", "watch"+d.upper+t.kind+"ListForAllNamespaces", watchListText)
	}
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

const (
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// patches sends dry patches of each sort, of the object and of its status.
func (s *subject) patches(ctx context.Context) {
	path := s.object() + "?dryRun=All&fieldValidation=Warn"
	s.oddPatches(ctx, path)
	var tasks []func()
	dry := func(name, contentType, path string, body any) {
		tasks = append(tasks, func() { s.same(ctx, name, call{method: "PATCH", path: path, contentType: contentType, body: body}) })
	}
	for i, m := range s.schemas.mutations(s.manifest, s.shape) {
		changed := copyOf(s.manifest).(map[string]any)
		m.apply(changed)
		merge := difference(s.manifest, changed)
		if i%3 == 0 {
			dry("merge patch: "+m.name, mergePatch, path, merge)
		}
		if i%3 == 1 {
			dry("strategic patch: "+m.name, strategicPatch, path, merge)
		}
		if i%4 == 0 {
			dry("apply: "+m.name, applyPatch, path+"&fieldManager=other", changed)
		}
		if i%7 == 0 {
			dry("forced apply: "+m.name, applyPatch, path+"&fieldManager=other&force=true", changed)
		}
	}
	dry("apply", applyPatch, path+"&fieldManager=other", s.manifest)
	dry("forced apply", applyPatch, path+"&fieldManager=other&force=true", s.manifest)
	dry("apply as before", applyPatch, path+"&fieldManager=compare", s.manifest)
	if s.served.has("status") {
		for i, m := range s.schemas.mutations(s.theirs, s.shape, "status") {
			changed := copyOf(s.theirs).(map[string]any)
			m.apply(changed)
			if i%3 == 0 {
				dry("status merge patch: "+m.name, mergePatch, s.object()+"/status?dryRun=All", map[string]any{"status": changed["status"]})
			}
			if i%5 == 0 {
				dry("status strategic patch: "+m.name, strategicPatch, s.object()+"/status?dryRun=All", map[string]any{"status": changed["status"]})
			}
		}
	}
	s.inParallel(ctx, tasks)
}

// oddPatches are wrong in themselves.
func (s *subject) oddPatches(ctx context.Context, path string) {
	for _, it := range []struct{ contentType, body string }{
		{jsonPatch, `[{"op":"remove","path":"/metadata/labels"}]`}, {jsonPatch, `[{"op":"remove","path":"/nowhere"}]`},
		{jsonPatch, `[{"op":"test","path":"/kind","value":"Wrong"}]`}, {jsonPatch, `{"op":"remove"}`}, {jsonPatch, `[{"op":"bogus","path":"/kind"}]`},
		{jsonPatch, `[{"op":"replace","path":"/metadata/name","value":"other"}]`}, {jsonPatch, `[{"op":"add","path":"/metadata/labels/x","value":3}]`},
		{jsonPatch, `[`}, {jsonPatch, `[{"op":"add","path":"/unknown","value":1}]`}, {jsonPatch, `[]`},
		{mergePatch, `{`}, {mergePatch, `[]`}, {mergePatch, `{"kind":"Wrong"}`}, {mergePatch, `{"metadata":{"resourceVersion":"1"}}`},
		{mergePatch, `{"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}}`}, {mergePatch, `{"unknown":1}`}, {mergePatch, `{"metadata":null}`},
		{mergePatch, `{"spec":7}`}, {mergePatch, `{"metadata":{"labels":{"x":"y"}}}`}, {mergePatch, `{}`},
		{strategicPatch, `{`}, {strategicPatch, `{"metadata":{"finalizers":[{"$patch":"replace"}]}}`}, {strategicPatch, `{"$patch":"replace","metadata":{}}`},
		{strategicPatch, `{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"]}}`}, {strategicPatch, `{"metadata":{"labels":{"$patch":"delete"}}}`},
		{strategicPatch, `{"spec":7}`}, {strategicPatch, `{}`}, {strategicPatch, `{"$patch":"bogus"}`},
		{applyPatch, `{`}, {applyPatch, `{}`}, {applyPatch, `{"apiVersion":"v9","kind":"Wrong"}`}, {"application/bogus", `{}`},
	} {
		s.same(ctx, it.contentType+" "+it.body, call{method: "PATCH", path: path, contentType: it.contentType, body: it.body})
	}
	s.same(ctx, "apply without manager", call{method: "PATCH", path: path, contentType: applyPatch, body: s.manifest})
	s.same(ctx, "strict validation", call{method: "PUT", path: s.object() + "?dryRun=All&fieldValidation=Strict", body: with(s.manifest, "unknownField", 3)})
	s.same(ctx, "bad validation", call{method: "PUT", path: s.object() + "?dryRun=All&fieldValidation=Bogus", body: s.manifest})
	s.same(ctx, "bad dry run", call{method: "PUT", path: s.object() + "?dryRun=Bogus", body: s.manifest})
	s.same(ctx, "long manager", call{method: "PUT", path: s.object() + "?dryRun=All&fieldManager=" + strings.Repeat("m", 129), body: s.manifest})
	s.same(ctx, "put without version", call{method: "PUT", path: path, body: s.manifest})
	s.same(ctx, "put elsewhere", call{method: "PUT", path: s.collection + "/compare-elsewhere?dryRun=All", body: s.manifest})
	data, err := json.Marshal(s.manifest)
	if err == nil {
		doubled := strings.Replace(string(data), `"kind"`, `"kind":"Twice","kind"`, 1)
		s.same(ctx, "doubled key", call{method: "POST", path: s.collection + "?dryRun=All&fieldValidation=Strict", body: doubled})
	}
	s.same(ctx, "create again", call{method: "POST", path: s.collection, body: s.manifest})
	s.same(ctx, "unknown subresource", call{method: "GET", path: s.object() + "/bogus"})
	s.same(ctx, "post to the object", call{method: "POST", path: s.object(), body: s.manifest})
}

func with(object map[string]any, key string, value any) map[string]any {
	out := copyOf(object).(map[string]any)
	out[key] = value
	return out
}

// difference is the merge patch that leads from one object to another.
func difference(from, to map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range keys(from, to) {
		value, ok := to[key]
		if !ok {
			out[key] = nil
			continue
		}
		a, mapA := from[key].(map[string]any)
		b, mapB := value.(map[string]any)
		switch {
		case mapA && mapB:
			if inner := difference(a, b); len(inner) > 0 {
				out[key] = inner
			}
		case fmt.Sprint(from[key]) != fmt.Sprint(value):
			out[key] = value
		}
	}
	return out
}

// reads compares tables, selectors, and subresources that only show.
func (s *subject) reads(ctx context.Context) {
	const table = "application/json;as=Table;v=v1;g=meta.k8s.io"
	s.same(ctx, "table", call{method: "GET", path: s.object(), accept: table})
	one := s.collection + "?fieldSelector=" + url.QueryEscape("metadata.name="+s.name)
	s.same(ctx, "table of a list", call{method: "GET", path: one + "&includeObject=None", accept: table})
	s.same(ctx, "table of whole objects", call{method: "GET", path: one + "&includeObject=Object", accept: table})
	s.same(ctx, "table with a bad policy", call{method: "GET", path: one + "&includeObject=Bogus", accept: table})
	s.same(ctx, "metadata", call{method: "GET", path: s.object(), accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"})
	s.same(ctx, "list", call{method: "GET", path: one})
	if s.served.has("scale") {
		s.scales(ctx)
	}
	if s.served.has("status") {
		s.same(ctx, "get status", call{method: "GET", path: s.object() + "/status"})
	}
	for _, label := range s.scalars(s.shape, "", 3) {
		for _, value := range []string{"x", "true"} {
			s.same(ctx, "select "+label, call{method: "GET", path: s.collection + "?fieldSelector=" + url.QueryEscape(label+"="+value)})
		}
	}
	for _, query := range []string{"fieldSelector=a", "fieldSelector=a=b", "labelSelector=%24%24", "labelSelector=a+in+(b", "limit=-1", "limit=x", "continue=bogus", "resourceVersion=x", "resourceVersionMatch=Exact",
		"resourceVersion=1&resourceVersionMatch=Bogus", "sendInitialEvents=true", "watch=true&sendInitialEvents=true&timeoutSeconds=1", "timeoutSeconds=x"} {
		s.same(ctx, "list "+query, call{method: "GET", path: s.collection + "?" + query})
	}
}

// scalars are the paths of all scalar fields.
func (s *subject) scalars(of *shape, path string, deep int) []string {
	of = s.schemas.resolve(of)
	if of == nil || deep == 0 {
		return nil
	}
	var out []string
	for _, name := range keys(toMap(of.Properties)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		switch inner := s.schemas.resolve(of.Properties[name]); {
		case inner == nil:
		case len(inner.Properties) > 0:
			out = append(out, s.scalars(inner, at, deep-1)...)
		case inner.Additional == nil && inner.Type != "object":
			out = append(out, at)
		}
	}
	return out
}

func (s *subject) scales(ctx context.Context) {
	path := s.object() + "/scale"
	a, b := s.same(ctx, "get scale", call{method: "GET", path: path})
	ours, _ := a.body.(map[string]any)
	theirs, _ := b.body.(map[string]any)
	for _, replicas := range []any{int64(-1), int64(0), int64(5), nil, "x"} {
		x, y := copyOf(ours).(map[string]any), copyOf(theirs).(map[string]any)
		x["spec"], y["spec"] = map[string]any{"replicas": replicas}, map[string]any{"replicas": replicas}
		s.each(ctx, "scale "+short(replicas), call{method: "PUT", path: path + "?dryRun=All", body: x}, call{method: "PUT", path: path + "?dryRun=All", body: y})
		s.same(ctx, "patch scale "+short(replicas), call{method: "PATCH", path: path + "?dryRun=All", contentType: mergePatch, body: map[string]any{"spec": map[string]any{"replicas": replicas}}})
	}
	wrong := with(theirs, "kind", "Wrong")
	s.same(ctx, "scale of another kind", call{method: "PUT", path: path + "?dryRun=All", body: wrong})
	s.same(ctx, "apply scale", call{method: "PATCH", path: path + "?dryRun=All&fieldManager=other&force=true", contentType: applyPatch,
		body: map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": map[string]any{"name": s.name}, "spec": map[string]any{"replicas": 4}}})
}

// deletion compares dry deletions, then deletes the object.
func (s *subject) deletion(ctx context.Context) {
	for _, body := range []string{`{"gracePeriodSeconds":-1}`, `{"gracePeriodSeconds":30}`, `{"propagationPolicy":"Bogus"}`, `{"propagationPolicy":"Foreground"}`, `{"propagationPolicy":"Orphan"}`,
		`{"propagationPolicy":"Background","orphanDependents":true}`, `{"orphanDependents":true}`, `{"preconditions":{"uid":"x"}}`, `{"preconditions":{"resourceVersion":"1"}}`,
		`{"dryRun":["Bogus"]}`, `{"kind":"Wrong","apiVersion":"v1"}`, `{`, `{"unknown":1}`} {
		s.same(ctx, "delete "+body, call{method: "DELETE", path: s.object() + "?dryRun=All", body: body})
	}
	s.same(ctx, "delete unknown", call{method: "DELETE", path: s.collection + "/compare-unknown"})
	s.same(ctx, "delete all that match nothing", call{method: "DELETE", path: s.collection + "?labelSelector=no%3Dmatch"})
	s.same(ctx, "delete", call{method: "DELETE", path: s.object() + "?gracePeriodSeconds=0"})
}

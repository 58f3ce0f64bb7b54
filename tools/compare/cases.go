package main

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const namespace = "compare"

// comparison is one run over all manifests.
type comparison struct {
	pair    pair
	schemas *schemas
	report  *report
	// every is of how many mutations one is sent: 1 for all.
	every int
}

// furnish makes what the corpus needs: a namespace, and the account that a controller would put there.
func (c *comparison) furnish(ctx context.Context) error {
	for _, it := range []struct {
		path string
		body map[string]any
	}{
		{"/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": namespace}}},
		{"/api/v1/namespaces/" + namespace + "/serviceaccounts", map[string]any{"metadata": map[string]any{"name": "default"}}},
	} {
		post := call{method: "POST", path: it.path, body: it.body}
		a, b, err := c.pair.both(ctx, post, post)
		if err != nil {
			return err
		}
		if a.code != 201 && a.code != 409 || b.code != 201 && b.code != 409 { // 409: from another run
			return fmt.Errorf("%s: ours %d %s, theirs %d %s", it.path, a.code, brief(a.body), b.code, brief(b.body))
		}
	}
	return nil
}

// subject is one manifest under test.
type subject struct {
	*comparison
	manifest   map[string]any // without status
	status     any
	kind, name string
	collection string // path
	shape      *shape
	served     served
	// The stored objects, as each server has them.
	ours, theirs map[string]any
}

// manifest does everything with one manifest.
func (c *comparison) manifest(ctx context.Context, m *unstructured.Unstructured) error {
	served, err := c.find(ctx, m)
	if err != nil {
		return err
	}
	object := copyOf(m.Object).(map[string]any)
	s := &subject{comparison: c, manifest: object, status: object["status"], kind: m.GetKind(), name: m.GetName(), served: served,
		collection: served.path(m.GroupVersionKind().GroupVersion()), shape: c.schemas.byKind[m.GroupVersionKind()]}
	if s.shape == nil {
		return fmt.Errorf("no schema of %s", m.GroupVersionKind())
	}
	if !served.has("status") {
		s.status = nil
	} else {
		delete(object, "status")
	}
	if m.GetName() != "" { // what an interrupted run has left
		remove := call{method: "DELETE", path: s.object() + "?gracePeriodSeconds=0"}
		if _, _, err := c.pair.both(ctx, remove, remove); err != nil {
			return err
		}
	}
	s.sweepCreate(ctx)
	if m.GetName() == "" {
		return nil // a review: never stored
	}
	if !s.store(ctx) {
		return nil
	}
	s.sweepUpdate(ctx)
	s.sweepStatus(ctx)
	s.patches(ctx)
	s.reads(ctx)
	s.deletion(ctx)
	return nil
}

// same sends one call to both and reports the differences.
func (s *subject) same(ctx context.Context, name string, c call) (a, b answer) {
	return s.each(ctx, name, c, c)
}

func (s *subject) each(ctx context.Context, name string, ours, theirs call) (a, b answer) {
	a, b, err := s.pair.both(ctx, ours, theirs)
	if err != nil {
		if ctx.Err() == nil {
			s.report.add(s.kind, s.name+" "+name, []string{"no answer: " + err.Error()})
		}
		return a, b
	}
	s.report.add(s.kind, s.name+" "+name, differences(answer{a.code, a.warnings, copyOf(a.body)}, answer{b.code, b.warnings, copyOf(b.body)}))
	return a, b
}

// inParallel runs dry requests a few at a time.
func (s *subject) inParallel(ctx context.Context, tasks []func()) {
	lanes := 4
	if s.kind == "Service" {
		lanes = 1 // dry runs hold the addresses that they ask for
	}
	var wait sync.WaitGroup
	lane := make(chan struct{}, lanes)
	for i, task := range tasks {
		if i%s.every != 0 {
			continue
		}
		if ctx.Err() != nil {
			break
		}
		lane <- struct{}{}
		wait.Go(func() {
			defer func() { <-lane }()
			task()
		})
	}
	wait.Wait()
}

// sweepCreate sends every mutation as a new object.
func (s *subject) sweepCreate(ctx context.Context) {
	path := s.collection + "?dryRun=All&fieldValidation=Warn"
	s.same(ctx, "create dry", call{method: "POST", path: path, body: s.manifest})
	var tasks []func()
	for _, m := range append(s.schemas.mutations(s.manifest, s.shape), metadataMutations()...) {
		tasks = append(tasks, func() {
			body := copyOf(s.manifest).(map[string]any)
			m.apply(body)
			s.same(ctx, "create: "+m.name, call{method: "POST", path: path, body: body})
		})
	}
	s.inParallel(ctx, tasks)
}

// store makes the object, with its status.
func (s *subject) store(ctx context.Context) bool {
	a, b := s.same(ctx, "create", call{method: "POST", path: s.collection, body: s.manifest})
	if a.code != 201 || b.code != 201 {
		fmt.Printf("%s %s cannot be created: ours %d %s, theirs %d %s\n", s.kind, s.name, a.code, brief(a.body), b.code, brief(b.body))
		return false
	}
	if s.status != nil {
		body := copyOf(s.manifest).(map[string]any)
		body["status"] = s.status
		s.same(ctx, "status", call{method: "PUT", path: s.object() + "/status", body: body})
	}
	a, b = s.same(ctx, "get", call{method: "GET", path: s.object()})
	s.ours, _ = a.body.(map[string]any)
	s.theirs, _ = b.body.(map[string]any)
	return s.ours != nil && s.theirs != nil
}

func (s *subject) object() string { return s.collection + "/" + s.name }

// sweepUpdate sends every mutation of the stored object. Each server gets its own version of it; what differs in the stored
// objects was reported already.
func (s *subject) sweepUpdate(ctx context.Context) {
	s.sweep(ctx, "update", s.object(), s.schemas.mutations(s.theirs, s.shape))
	s.sweep(ctx, "update", s.object(), metadataMutations())
}

// sweepStatus does the same with the status, and with the spec and metadata where they should have no effect.
func (s *subject) sweepStatus(ctx context.Context) {
	for _, sub := range s.served.subresources {
		name := sub.Name[len(s.served.Name)+1:]
		if sub.Kind != s.served.Kind || !hasVerb(sub.Verbs, "update") {
			continue
		}
		path := s.object() + "/" + name
		if name == "status" {
			s.sweep(ctx, "status", path, s.schemas.mutations(s.theirs, s.shape, "status"))
		} else {
			s.sweep(ctx, name, path, s.schemas.mutations(s.theirs, s.shape, "spec"))
		}
		s.sweep(ctx, name, path, metadataMutations())
	}
}

func hasVerb(verbs []string, verb string) bool {
	for _, v := range verbs {
		if v == verb {
			return true
		}
	}
	return false
}

func (s *subject) sweep(ctx context.Context, what, path string, mutations []mutation) {
	path += "?dryRun=All&fieldValidation=Warn"
	var tasks []func()
	for _, m := range mutations {
		tasks = append(tasks, func() {
			ours, theirs := copyOf(s.theirs).(map[string]any), copyOf(s.theirs).(map[string]any)
			own(ours, s.ours, s.theirs)
			m.apply(ours)
			m.apply(theirs)
			s.each(ctx, what+": "+m.name, call{method: "PUT", path: path, body: ours}, call{method: "PUT", path: path, body: theirs})
		})
	}
	s.inParallel(ctx, tasks)
}

// own gives an object the identity that it has on another server. Some objects name their own UID: Jobs do, in labels.
func own(object, stored, other map[string]any) {
	meta, _ := object["metadata"].(map[string]any)
	from, _ := stored["metadata"].(map[string]any)
	before, _ := other["metadata"].(map[string]any)
	replaceText(object, before["uid"], from["uid"])
	for _, name := range []string{"uid", "resourceVersion", "creationTimestamp"} {
		meta[name] = from[name]
	}
}

// replaceText puts one text in the place of another wherever it is a whole value.
func replaceText(v, from, to any) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && text == from {
				v[key] = to
			} else {
				replaceText(inner, from, to)
			}
		}
	case []any:
		for _, inner := range v {
			replaceText(inner, from, to)
		}
	}
}

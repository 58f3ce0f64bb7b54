package policy

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/admission/compiled"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// set is all policies of one kind with their bindings, in order of the policies' names.
type set struct {
	world    *match.World
	policies compiled.List[*policy]
	bindings compiled.List[*binding]
	joined   atomic.Pointer[joined]
}

// joined is the policies that are bound. It holds for as long as both lists are the same.
type joined struct {
	policies []*policy
	bindings []*binding
	active   []active
}

type active struct {
	*policy
	bindings []*binding
}

func newSet(w *match.World, policies, bindings string, compile func(resource.Object) *policy, bind func(resource.Object) *binding) *set {
	open := func(plural string) func() store.Store {
		gvr := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: plural}
		return sync.OnceValue(func() store.Store { return w.Resources.Get(gvr).Open() })
	}
	return &set{
		world:    w,
		policies: compiled.List[*policy]{Open: open(policies), Make: compile},
		bindings: compiled.List[*binding]{Open: open(bindings), Make: bind},
	}
}

// get returns the policies that may concern a request: none if it is about what configures admission itself.
func (s *set) get(ctx context.Context, a *admission.Attributes) ([]active, error) {
	policies, err := s.policies.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("admission policies: %w", err)
	}
	if len(policies) == 0 || match.Exempt(a) {
		return nil, nil
	}
	bindings, err := s.bindings.Get(ctx)
	if err != nil {
		return nil, fmt.Errorf("bindings of admission policies: %w", err)
	}
	if j := s.joined.Load(); j != nil && same(j.policies, policies) && same(j.bindings, bindings) {
		return j.active, nil
	}
	j := &joined{policies: policies, bindings: bindings}
	byPolicy := map[string][]*binding{}
	for _, b := range bindings {
		byPolicy[b.policy] = append(byPolicy[b.policy], b)
	}
	for _, p := range policies {
		if bound := byPolicy[p.name]; bound != nil {
			j.active = append(j.active, active{p, bound})
		}
	}
	s.joined.Store(j)
	return j.active, nil
}

// same says that two slices are the very same one.
func same[E any](a, b []E) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// invocation is a policy to run for a request, with a binding and a parameter.
type invocation struct {
	*policy
	binding *binding
	params  map[string]any // nil: null
	// param names the parameter, to know it again.
	param store.Key
	hit   match.Hit
}

// failure is why a policy could not be run, or what it refuses. binding may be nil.
type failure struct {
	*policy
	binding *binding
	err     error
}

// matching finds what is to run for a request; failures of policies that may fail are left out.
func (s *set) matching(ctx context.Context, a *admission.Attributes, all []active) (found []invocation, failures []failure) {
	fail := func(p *policy, b *binding, err error) {
		if p.failOpen {
			return
		}
		what := "policy"
		if b != nil {
			what = "binding"
		}
		failures = append(failures, failure{p, b, fmt.Errorf("failed to configure %s: %w", what, err)})
	}
	for _, p := range all {
		hit, matches, err := p.criteria.Match(ctx, s.world, a)
		switch {
		case err != nil:
			fail(p.policy, nil, err)
			continue
		case !matches:
			continue
		}
		kind, err := s.kindOfParams(p.policy)
		if err != nil {
			fail(p.policy, nil, err)
			continue
		}
		for _, b := range p.bindings {
			if b.criteria != nil {
				_, matches, err := b.criteria.Match(ctx, s.world, a)
				if err != nil {
					fail(p.policy, b, err)
				}
				if !matches || err != nil {
					continue
				}
			}
			params, err := s.params(ctx, kind, b, match.NamespaceOf(a))
			if err != nil {
				fail(p.policy, b, err)
				continue
			}
			for _, param := range params {
				found = append(found, invocation{p.policy, b, param.content, param.key, hit})
			}
		}
	}
	return found, failures
}

// namespaceObject is the namespace of a request; nil for what is in none, and for namespaces themselves.
func (s *set) namespaceObject(ctx context.Context, a *admission.Attributes) (*corev1.Namespace, error) {
	if a.Namespace == "" || a.Kind.Kind == "Namespace" && a.Kind.Group == "" {
		return nil, nil
	}
	return s.world.Namespace(ctx, a.Namespace)
}

package crd

import (
	"container/list"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// shelf keeps compiled rules of the versions that were used last: they are large, and most definitions are seldom written to.
type shelf struct {
	most int

	mu sync.Mutex
	// order has *kept, the one used last in front.
	order *list.List
	at    map[*version]*list.Element
}

// kept is the rules of one version; nil after compiling if it has none.
type kept struct {
	version *version
	once    sync.Once
	rules   *cel.Validator
}

func newShelf(most int) *shelf {
	return &shelf{most: most, order: list.New(), at: map[*version]*list.Element{}}
}

// rules returns the compiled rules of a version; nil if it has none.
func (s *shelf) rules(v *version) *cel.Validator {
	k := s.take(v)
	k.once.Do(func() {
		if structure := v.structure(); structure != nil {
			k.rules = cel.NewValidator(structure, true, celconfig.PerCallLimit)
		}
	})
	return k.rules
}

func (s *shelf) take(v *version) *kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.at[v]; found != nil {
		s.order.MoveToFront(found)
		return found.Value.(*kept)
	}
	k := &kept{version: v}
	s.at[v] = s.order.PushFront(k)
	if s.order.Len() > s.most {
		last := s.order.Remove(s.order.Back()).(*kept)
		delete(s.at, last.version)
	}
	return k
}

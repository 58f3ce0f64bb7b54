package state

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Store holds the API's objects (shared, never changed) and notes which Services somebody has to look at again.
type Store struct {
	node string
	wake func()

	mu       sync.Mutex
	services map[types.NamespacedName]*corev1.Service
	slices   map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice // by Service, then by name
	dirty    map[types.NamespacedName]Origin
}

// Origin is where a change came from: for the journal and for the measuring of how long it took.
type Origin struct {
	// Revision is the newest resourceVersion that brought the change; Kind and Object name what it was of.
	Kind, Object, Revision string
	// Triggered is when the endpoints controller saw the reason for the change; zero if it does not say.
	Triggered time.Time
}

// Change is one Service to bring up to date. A nil Service is gone.
type Change struct {
	Name    types.NamespacedName
	Service *Service
	Origin  Origin
}

// New returns an empty Store for a node; wake is called after every change that matters.
func New(node string, wake func()) *Store {
	return &Store{
		node: node, wake: wake,
		services: map[types.NamespacedName]*corev1.Service{},
		slices:   map[types.NamespacedName]map[string]*discoveryv1.EndpointSlice{},
		dirty:    map[types.NamespacedName]Origin{},
	}
}

// SetService takes a Service as it now is.
func (s *Store) SetService(service *corev1.Service) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	s.mu.Lock()
	old, had := s.services[name]
	wanted := proxied(service)
	switch {
	case wanted:
		s.services[name] = service
	case had:
		delete(s.services, name)
	default:
		s.mu.Unlock()
		return
	}
	same := had && wanted && old.ResourceVersion == service.ResourceVersion && service.ResourceVersion != ""
	if !same {
		s.dirty[name] = Origin{Kind: "Service", Object: service.Name, Revision: service.ResourceVersion}
	}
	s.mu.Unlock()
	if !same {
		s.wake()
	}
}

// DeleteService forgets a Service.
func (s *Store) DeleteService(service *corev1.Service) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	s.mu.Lock()
	_, had := s.services[name]
	delete(s.services, name)
	if had {
		s.dirty[name] = Origin{Kind: "Service", Object: service.Name, Revision: service.ResourceVersion}
	}
	s.mu.Unlock()
	if had {
		s.wake()
	}
}

// SetSlice takes an EndpointSlice as it now is.
func (s *Store) SetSlice(slice *discoveryv1.EndpointSlice) { s.changeSlice(slice, relevant(slice)) }

// DeleteSlice forgets an EndpointSlice.
func (s *Store) DeleteSlice(slice *discoveryv1.EndpointSlice) { s.changeSlice(slice, false) }

func (s *Store) changeSlice(slice *discoveryv1.EndpointSlice, keep bool) {
	service := types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
	s.mu.Lock()
	of := s.slices[service]
	_, had := of[slice.Name]
	if !had && !keep {
		s.mu.Unlock()
		return
	}
	if keep {
		if of == nil {
			of = map[string]*discoveryv1.EndpointSlice{}
			s.slices[service] = of
		}
		of[slice.Name] = slice
	} else {
		delete(of, slice.Name)
		if len(of) == 0 {
			delete(s.slices, service)
		}
	}
	_, matters := s.services[service]
	if matters {
		s.dirty[service] = Origin{Kind: "EndpointSlice", Object: slice.Name, Revision: slice.ResourceVersion, Triggered: triggered(slice)}
	}
	s.mu.Unlock()
	if matters {
		s.wake()
	}
}

func triggered(slice *discoveryv1.EndpointSlice) time.Time {
	at, err := time.Parse(time.RFC3339Nano, slice.Annotations[corev1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return time.Time{}
	}
	return at
}

// Take returns the Services that changed since the last Take, in no order, as they are now.
func (s *Store) Take() []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dirty) == 0 {
		return nil
	}
	changes := make([]Change, 0, len(s.dirty))
	for name, origin := range s.dirty {
		change := Change{Name: name, Origin: origin}
		if service := s.services[name]; service != nil {
			change.Service = convert(service, s.slices[name], s.node)
		}
		changes = append(changes, change)
	}
	clear(s.dirty)
	return changes
}

// Pending says whether there is something to Take.
func (s *Store) Pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dirty) > 0
}

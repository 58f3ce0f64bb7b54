// Package objects keeps the ConfigMaps and Secrets that Pods on this node mount. Each is watched by name,
// once however many Pods use it, and only while one does: a node agent may read nothing else. Immutable ones are not watched.
package objects

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// Kind is ConfigMap or Secret.
type Kind string

// The kinds that can be kept.
const (
	ConfigMap Kind = "ConfigMap"
	Secret    Kind = "Secret"
)

// Key names one object.
type Key struct {
	Kind            Kind
	Namespace, Name string
}

// Store holds the objects that are in use.
type Store struct {
	client  kubernetes.Interface
	changed func(Key)

	mu      sync.Mutex
	entries map[Key]*entry
}

// New returns an empty Store. changed is called, from a goroutine of the object's own, after each change of an
// object that is in use: created, updated or deleted.
func New(client kubernetes.Interface, changed func(Key)) *Store {
	return &Store{client: client, changed: changed, entries: map[Key]*entry{}}
}

// Acquire starts to keep an object. Each Acquire needs its Release.
func (s *Store) Acquire(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		e.users++
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &entry{key: key, users: 1, cancel: cancel, ready: make(chan struct{})}
	s.entries[key] = e
	go s.follow(ctx, e)
}

// Release stops keeping the object when its last user has gone.
func (s *Store) Release(key Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil {
		return
	}
	if e.users--; e.users == 0 {
		e.cancel()
		delete(s.entries, key)
	}
}

// Close stops all watches.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, e := range s.entries {
		e.cancel()
		delete(s.entries, key)
	}
}

// ConfigMap returns an acquired ConfigMap as last seen, waiting for the first look; shared, never to be changed.
// The error is the API's, NotFound if it does not exist.
func (s *Store) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	obj, err := s.get(ctx, Key{ConfigMap, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.ConfigMap), nil
}

// Secret is like ConfigMap.
func (s *Store) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	obj, err := s.get(ctx, Key{Secret, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Secret), nil
}

func (s *Store) get(ctx context.Context, key Key) (any, error) {
	s.mu.Lock()
	e := s.entries[key]
	s.mu.Unlock()
	if e == nil {
		return nil, fmt.Errorf("%s %s/%s is not in use on this node", key.Kind, key.Namespace, key.Name)
	}
	select {
	case <-e.ready:
		return e.read()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for %s %s/%s: %w", key.Kind, key.Namespace, key.Name, ctx.Err())
	}
}

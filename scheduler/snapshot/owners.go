package snapshot

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// owners are the Services and workloads by whose selectors pods are spread when they name no constraints of their own.
type owners struct {
	byNamespace map[string]*ownersIn
	scratch     scratch
}

type ownersIn struct {
	services map[string]labels.Set      // by name
	owners   map[string]labels.Selector // by kind/name
	version  uint64
}

func (o *owners) clone() map[string]*ownersIn {
	all := make(map[string]*ownersIn, len(o.byNamespace))
	for name, in := range o.byNamespace {
		all[name] = &ownersIn{services: maps.Clone(in.services), owners: maps.Clone(in.owners)}
	}
	return all
}

func (o *owners) in(namespace string) *ownersIn {
	in := o.byNamespace[namespace]
	if in == nil {
		in = &ownersIn{services: map[string]labels.Set{}, owners: map[string]labels.Selector{}}
		o.byNamespace[namespace] = in
	}
	return in
}

// SetService takes over a Service's selector; nil removes it.
func (s *Snapshot) SetService(namespace, name string, selector map[string]string) {
	in := s.owners.in(namespace)
	if old, ok := in.services[name]; ok == (len(selector) > 0) && sameLabels(old, selector) {
		return
	}
	in.version++
	if len(selector) == 0 {
		delete(in.services, name)
		return
	}
	in.services[name] = selector
	for k := range selector {
		s.lookAtKey(k)
	}
}

// SetOwner takes over the selector of a ReplicationController, ReplicaSet or StatefulSet; nil removes it.
func (s *Snapshot) SetOwner(kind, namespace, name string, selector labels.Selector) {
	in := s.owners.in(namespace)
	key := kind + "/" + name
	if selector == nil {
		delete(in.owners, key)
		in.version++
		return
	}
	if old, ok := in.owners[key]; ok && old.String() == selector.String() {
		return
	}
	in.owners[key] = selector
	in.version++
}

// OwnersVersion changes when DefaultSelector may answer differently in the namespace.
func (s *Snapshot) OwnersVersion(namespace string) uint64 { return s.owners.in(namespace).version }

// DefaultSelector joins the selectors of the Services that choose the shape's pods and of the workload that owns them. It is empty if there are none.
func (s *Snapshot) DefaultSelector(shape *Shape) labels.Selector {
	in := s.owners.in(shape.Namespace)
	merged := labels.Set{}
	for _, selector := range in.services {
		if MatchLabels(selector, shape.Labels) {
			for k, v := range selector {
				merged[k] = v
			}
		}
	}
	selector := labels.NewSelector()
	if len(merged) > 0 {
		selector = merged.AsSelector()
	}
	if shape.Owner != nil {
		if own, ok := in.owners[shape.Owner.Kind+"/"+shape.Owner.Name]; ok {
			if requirements, selectable := own.Requirements(); selectable {
				selector = selector.Add(requirements...)
			}
		}
	}
	return selector
}

// SetNamespace takes over a namespace's labels; nil removes it. Where terms select namespaces by label, a change is a new start for all that was compiled.
func (s *Snapshot) SetNamespace(object *corev1.Namespace, name string) {
	old, known := s.namespaces[name]
	if object == nil {
		delete(s.namespaces, name)
		return
	}
	if known && sameLabels(old, object.Labels) {
		return
	}
	set := labels.Set(object.Labels)
	if set == nil {
		set = labels.Set{}
	}
	s.namespaces[name] = set
	if s.nsSelected {
		s.recountAll()
	}
}

// NamespaceLabels returns the labels of a namespace.
func (s *Snapshot) NamespaceLabels(name string) labels.Set { return s.namespaces[name] }

// recountAll works out anew which counters count which shapes.
func (s *Snapshot) recountAll() {
	for row := range s.Pods {
		for _, p := range s.Pods[row] {
			s.uncount(p, int32(row))
		}
	}
	for _, shape := range s.shapes {
		shape.counted = shape.counted[:0]
		for _, c := range s.counterList {
			shape.count(s, c)
		}
	}
	for row := range s.Pods {
		for _, p := range s.Pods[row] {
			s.recount(p, int32(row))
		}
	}
	s.Void()
}

// Package source finds out which pods belong on this node: those that the API
// server bound to it, those in a folder of manifests, and those that a URL lists.
// Pods that do not come from the API server are static; each has a mirror there.
package source

import (
	v1 "k8s.io/api/core/v1"
)

// The names of the sources, as the annotation kubernetes.io/config.source has them.
const (
	API  = "api"
	File = "file"
	HTTP = "http"
)

// Sink is told about the node's pods. Its methods must not block, and may be
// called by several sources at a time.
type Sink interface {
	// Upsert brings a pod as it now is. It is shared and must not be changed.
	Upsert(source string, pod *v1.Pod)
	// Delete says that a source does not have the pod any more.
	Delete(source string, pod *v1.Pod)
	// Synced says that a source has told of all that it has.
	Synced(source string)
	// Bad tells of something that should be a pod but is not.
	Bad(source, where string, err error)
}

// set keeps what a source that always tells of everything told last.
type set struct {
	source string
	sink   Sink
	known  map[string]*v1.Pod // by uid
	synced bool
}

// replace tells the sink of the differences to the last time.
func (s *set) replace(pods []*v1.Pod) {
	next := make(map[string]*v1.Pod, len(pods))
	for _, pod := range pods {
		next[string(pod.UID)] = pod
	}
	for uid, pod := range s.known {
		if next[uid] == nil {
			s.sink.Delete(s.source, pod)
		}
	}
	for uid, pod := range next {
		if s.known[uid] == nil {
			s.sink.Upsert(s.source, pod)
		} else {
			next[uid] = s.known[uid] // the same pod, first seen earlier
		}
	}
	s.known = next
	if !s.synced {
		s.synced = true
		s.sink.Synced(s.source)
	}
}

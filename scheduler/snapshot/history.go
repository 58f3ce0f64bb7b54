package snapshot

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
)

// historySize bounds how many changes can be taken back to show a decision as it was made.
const historySize = 1 << 14

// Change is one thing that happened to a row: a pod came or went, or the node changed (Node is what it was before).
type Change struct {
	Row   int32
	Added bool
	Pod   *Pod
	Node  *Node
}

type history struct {
	ring []Change
	next uint64
}

// remember notes a change so that it can be taken back in a copy.
func (s *Snapshot) remember(c Change) {
	if s.trial > 0 {
		return
	}
	h := &s.history
	if h.ring == nil {
		h.ring = make([]Change, 0, 256)
	}
	if len(h.ring) < historySize {
		h.ring = append(h.ring, c)
	} else {
		h.ring[h.next%historySize] = c
	}
	h.next++
}

// Moment is a point in time to which At can go back.
func (s *Snapshot) Moment() uint64 { return s.history.next }

// Past is what a Snapshot was at a moment, taken quickly so that a Snapshot can be made of it elsewhere.
type Past struct {
	nodes      []*Node
	pods       [][]*Pod
	namespaces map[string]labels.Set
	owners     map[string]*ownersIn
	volumes    Volumes
	devices    Devices
}

// At goes back to a moment; false if that is too long ago. Volumes, devices and owners are as they are now, and promises are not in it.
func (s *Snapshot) At(moment uint64) (*Past, bool) {
	h := &s.history
	if h.next-moment > uint64(len(h.ring)) {
		return nil, false
	}
	p := &Past{nodes: slices.Clone(s.Node), pods: make([][]*Pod, len(s.Pods)), namespaces: maps.Clone(s.namespaces), owners: s.owners.clone(),
		volumes: s.Volumes.clone(), devices: s.Devices.clone()}
	for row := range s.Pods {
		for _, pod := range s.Pods[row] {
			p.pods[row] = append(p.pods[row], &Pod{Object: pod.Object, name: s.nodeNameOf(pod, int32(row))})
		}
	}
	for i := h.next; i > moment; i-- {
		s.takeBack(p, &h.ring[(i-1)%historySize])
	}
	return p, true
}

func (s *Snapshot) nodeNameOf(p *Pod, row int32) string {
	if s.Node[row] != nil {
		return s.Node[row].Name
	}
	return p.Object.Spec.NodeName
}

func (s *Snapshot) takeBack(p *Past, c *Change) {
	switch {
	case c.Pod == nil:
		p.nodes[c.Row] = c.Node
	case c.Added:
		p.pods[c.Row] = slices.DeleteFunc(p.pods[c.Row], func(o *Pod) bool { return o.Object.UID == c.Pod.Object.UID })
	default:
		p.pods[c.Row] = append(p.pods[c.Row], &Pod{Object: c.Pod.Object, name: s.nodeNameOf(c.Pod, c.Row)})
	}
}

// Snapshot makes a Snapshot of the past.
func (p *Past) Snapshot() *Snapshot {
	s := New()
	s.namespaces, s.owners.byNamespace = p.namespaces, p.owners
	for _, in := range p.owners {
		for _, selector := range in.services {
			for k := range selector {
				s.lookAtKey(k)
			}
		}
	}
	s.Volumes, s.Devices = p.volumes, p.devices
	for row, node := range p.nodes {
		if node != nil {
			s.SetNode(node.Object)
		}
		for _, pod := range p.pods[row] {
			if pod.name != "" {
				s.Place(s.NewPod(pod.Object), pod.name)
			}
		}
	}
	return s
}

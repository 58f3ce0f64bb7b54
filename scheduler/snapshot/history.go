package snapshot

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

// At returns a copy of the Snapshot as it was at a moment; false if that is too long ago. Volumes and
// devices, nominations and owners are as they are now.
func (s *Snapshot) At(moment uint64) (*Snapshot, bool) {
	h := &s.history
	if h.next-moment > uint64(len(h.ring)) {
		return nil, false
	}
	nodes := append([]*Node(nil), s.Node...)
	pods := make([][]*Pod, len(s.Pods))
	for row := range s.Pods {
		pods[row] = append([]*Pod(nil), s.Pods[row]...)
	}
	for i := h.next; i > moment; i-- {
		c := h.ring[(i-1)%historySize]
		switch {
		case c.Pod == nil:
			nodes[c.Row] = c.Node
		case c.Added:
			for j, p := range pods[c.Row] {
				if p.Object.UID == c.Pod.Object.UID {
					pods[c.Row] = append(pods[c.Row][:j], pods[c.Row][j+1:]...)
					break
				}
			}
		default:
			pods[c.Row] = append(pods[c.Row], c.Pod)
		}
	}
	return s.copyWith(nodes, pods), true
}

func (s *Snapshot) copyWith(nodes []*Node, pods [][]*Pod) *Snapshot {
	copied := New()
	for name, labels := range s.namespaces {
		copied.namespaces[name] = labels
	}
	copied.owners.byNamespace = s.owners.byNamespace
	for _, in := range s.owners.byNamespace {
		for _, selector := range in.services {
			for k := range selector {
				copied.lookAtKey(k)
			}
		}
	}
	copied.Volumes, copied.Devices = s.Volumes, s.Devices
	copied.Volumes.users = map[string]int32{}
	for row, node := range nodes {
		if node != nil {
			copied.SetNode(node.Object)
		}
		for _, p := range pods[row] {
			name := p.Object.Spec.NodeName
			if node != nil {
				name = node.Name
			}
			if name == "" {
				continue
			}
			placed := copied.NewPod(p.Object)
			copied.Place(placed, name)
		}
	}
	return copied
}

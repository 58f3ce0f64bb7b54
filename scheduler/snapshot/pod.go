package snapshot

import (
	corev1 "k8s.io/api/core/v1"
)

// Pod is a pod as the Snapshot knows it.
type Pod struct {
	Object *corev1.Pod
	Shape  *Shape
	Row    int32 // where it is placed, or -1
	// Assumed pods are placed by a decision that the API server has not confirmed yet.
	Assumed bool

	leaving bool
	slot    int32  // in Pods[Row]
	promise int32  // row that it is nominated for, or -1
	name    string // of its node, in a Past
}

// NewPod prepares a pod that is not placed.
func (s *Snapshot) NewPod(object *corev1.Pod) *Pod {
	return &Pod{Object: object, Shape: s.Intern(object), Row: -1, promise: -1}
}

// Lookup finds a placed pod by UID.
func (s *Snapshot) Lookup(object *corev1.Pod) (*Pod, bool) {
	p, ok := s.pods[object.UID]
	return p, ok
}

// Placed is the number of placed pods.
func (s *Snapshot) Placed() int { return len(s.pods) }

// Place puts a pod on a node, which need not exist yet.
func (s *Snapshot) Place(p *Pod, node string) {
	s.PlaceOn(p, s.rowFor(node))
}

// PlaceOn puts a pod on a row.
func (s *Snapshot) PlaceOn(p *Pod, row int32) {
	p.Row = row
	p.leaving = p.Object.DeletionTimestamp != nil
	p.slot = int32(len(s.Pods[row]))
	s.Pods[row] = append(s.Pods[row], p)
	p.Shape.refs++
	s.charge(p, row, 1)
	s.Volumes.place(p, 1)
	if s.trial == 0 {
		s.pods[p.Object.UID] = p
		s.remember(Change{Row: row, Pod: p, Added: true})
		s.touch(row)
	}
}

// Displace takes a pod off its row.
func (s *Snapshot) Displace(p *Pod) {
	row := p.Row
	list := s.Pods[row]
	last := list[len(list)-1]
	list[p.slot] = last
	last.slot = p.slot
	list[len(list)-1] = nil
	s.Pods[row] = list[:len(list)-1]
	s.charge(p, row, -1)
	s.Volumes.place(p, -1)
	p.Row = -1
	if s.trial > 0 {
		p.Shape.refs--
		return
	}
	s.unref(p.Shape)
	delete(s.pods, p.Object.UID)
	s.remember(Change{Row: row, Pod: p})
	s.touch(row)
	if s.Flags[row]&Present == 0 {
		if name, ok := s.nameOf(p, row); ok {
			s.release(name, row)
		}
	}
}

func (s *Snapshot) nameOf(p *Pod, row int32) (string, bool) {
	name := p.Object.Spec.NodeName
	if r, ok := s.rows[name]; ok && r == row {
		return name, true
	}
	for name, r := range s.rows {
		if r == row {
			return name, true
		}
	}
	return "", false
}

// charge adds (or with -1 takes away) all that the pod counts for on the row.
func (s *Snapshot) charge(p *Pod, row int32, sign int64) {
	r := &p.Shape.Requests
	s.Requested[CPU][row] += sign * r.CPU
	s.Requested[Memory][row] += sign * r.Memory
	s.Requested[Ephemeral][row] += sign * r.Ephemeral
	s.Requested[PodSlots][row] += sign
	for _, a := range r.Scalars {
		s.Requested[a.Resource][row] += sign * a.Value
	}
	s.NonZeroCPU[row] += sign * r.NonZeroCPU
	s.NonZeroMemory[row] += sign * r.NonZeroMemory
	if len(p.Shape.Ports) > 0 {
		s.usePorts(p.Shape.Ports, row, int32(sign))
	}
	if sign > 0 {
		s.recount(p, row)
	} else {
		s.uncount(p, row)
	}
}

func (s *Snapshot) recount(p *Pod, row int32) { p.tell(row, 1) }
func (s *Snapshot) uncount(p *Pod, row int32) { p.tell(row, -1) }

func (p *Pod) tell(row, n int32) {
	for _, c := range p.Shape.counted {
		if !(c.ignoreLeaving && p.leaving) {
			c.add(row, n)
		}
	}
	for _, t := range p.Shape.carried {
		t.add(row, n)
	}
}

func (s *Snapshot) usePorts(ports []HostPort, row, n int32) {
	used := s.ports[row]
	if used == nil {
		used = map[HostPort]int32{}
		s.ports[row] = used
	}
	for _, p := range ports {
		if used[p] += n; used[p] <= 0 {
			delete(used, p)
		}
	}
	if len(used) == 0 {
		delete(s.ports, row)
	}
}

// PortsConflict says whether the row has none of the ports free.
func (s *Snapshot) PortsConflict(row int32, ports []HostPort) bool {
	used := s.ports[row]
	if len(used) == 0 {
		return false
	}
	for _, p := range ports {
		if used[p] > 0 {
			return true
		}
		for u := range used {
			if p.Conflicts(u) {
				return true
			}
		}
	}
	return false
}

// Update takes over a new state of a placed pod. It says whether the pod now weighs less than before, in which case others may fit.
func (s *Snapshot) Update(p *Pod, object *corev1.Pod) (lighter bool) {
	if object.Spec.NodeName != "" {
		p.Assumed = false
	}
	shape := s.Intern(object)
	if shape == p.Shape && p.leaving == (object.DeletionTimestamp != nil) {
		p.Object = object
		return false
	}
	old, before := p.Shape.Requests, *p
	row := p.Row
	s.charge(p, row, -1)
	s.unref(p.Shape)
	p.Object, p.Shape, p.leaving = object, shape, object.DeletionTimestamp != nil
	shape.refs++
	s.charge(p, row, 1)
	s.remember(Change{Row: row, Pod: &before})
	s.remember(Change{Row: row, Pod: p, Added: true})
	s.touch(row)
	r := &shape.Requests
	return r.CPU < old.CPU || r.Memory < old.Memory || r.Ephemeral < old.Ephemeral || len(r.Scalars) < len(old.Scalars)
}

// Nominate promises a row to a pod that waits for its victims to leave.
func (s *Snapshot) Nominate(p *Pod, row int32) {
	if p.promise == row {
		return
	}
	s.Denominate(p)
	p.promise = row
	p.Shape.refs++
	s.Nominated[row] = append(s.Nominated[row], p)
	s.nominees++
	s.touch(row)
}

// Denominate takes the promise back.
func (s *Snapshot) Denominate(p *Pod) {
	row := p.promise
	if row < 0 {
		return
	}
	p.promise = -1
	s.unref(p.Shape)
	s.nominees--
	list := s.Nominated[row]
	for i := range list {
		if list[i] == p {
			s.Nominated[row] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	s.touch(row)
}

// NominatedRow is the row promised to the pod, if there is one.
func (p *Pod) NominatedRow() (int32, bool) { return p.promise, p.promise >= 0 }

// Nominees is how many promises there are.
func (s *Snapshot) Nominees() int { return s.nominees }

// EachNominated visits the rows that are promised to some pod.
func (s *Snapshot) EachNominated(visit func(row int32)) {
	left := s.nominees
	for row := range s.Nominated {
		if left == 0 {
			return
		}
		if n := len(s.Nominated[row]); n > 0 {
			left -= n
			visit(int32(row))
		}
	}
}

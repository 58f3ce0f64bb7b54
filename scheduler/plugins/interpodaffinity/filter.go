package interpodaffinity

import (
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Bits of the first int of a key: what the row itself (as a domain of its own) says.
const (
	missesLabel    int32 = 1 << iota // it lacks a topology key of the pod's own affinity
	lacksAffinity                    // no pod for some term of the pod's own affinity
	hasAnti                          // a pod that the pod's own anti-affinity excludes
	hasAntiAgainst                   // a pod whose anti-affinity excludes the pod
)

const (
	refusedAffinity plugin.Verdict = 1 + iota
	refusedAnti
	refusedByExisting
)

// filter answers by class: host names, where every node is a domain of its own, are looked up when a row changes and become bits;
// for other topologies the domain is in the key, and the counts of domains are asked at decision time.
type filter struct {
	snapshot *snapshot.Snapshot
	// own affinity: one counter of the pods that match all terms
	affinity     *snapshot.Counter
	affinityIn   []*snapshot.DomainCount // by term
	selfMatch    bool
	anti         []check // own anti-affinity
	existing     []check // others' anti-affinity that matches the pod
	shared       []*snapshot.Topology
	width        int
	affinityKeys []int // place of each affinity term's topology in the key; 0: a row is its own domain
}

// check is something counted by topology.
type check struct {
	rows interface{ Row(int32) int32 }
	in   *snapshot.DomainCount
	key  int // place of the topology in the key; 0: a row is its own domain
}

// CompileFilter implements plugin.FilterColumns.
func (p *Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	f := &filter{snapshot: c.Snapshot, width: 1}
	required, anti := requiredTerms(c.Shape)
	if len(required) > 0 {
		matches := make([]snapshot.PodMatch, len(required))
		f.selfMatch = true
		for i := range required {
			matches[i] = required[i].PodMatch
			f.selfMatch = f.selfMatch && c.Snapshot.Matches(&matches[i], c.Shape)
		}
		f.affinity = c.Snapshot.Counter(false, matches...)
		c.Hold(f.affinity)
		for i := range required {
			t := f.topology(c, required[i].TopologyKey)
			f.affinityIn = append(f.affinityIn, f.affinity.By(t))
			f.affinityKeys = append(f.affinityKeys, f.place(t))
		}
	}
	for i := range anti {
		counter := c.Snapshot.Counter(false, anti[i].PodMatch)
		c.Hold(counter)
		t := f.topology(c, anti[i].TopologyKey)
		f.anti = append(f.anti, check{counter, counter.By(t), f.place(t)})
	}
	eachExisting(c, func(kind snapshot.TermKind) bool { return kind == snapshot.RequiredAntiAffinity }, func(term *snapshot.Term) {
		t := f.topology(c, term.TopologyKey)
		f.existing = append(f.existing, check{term, term.In(c.Snapshot), f.place(t)})
	})
	if f.affinity == nil && len(f.anti) == 0 && len(f.existing) == 0 {
		return nil
	}
	return f
}

func (f *filter) topology(c *plugin.Compile, key string) *snapshot.Topology { return guarded(c, key) }

// guarded interns a topology whose nature (a domain a node, or shared ones) what is compiled depends on.
func guarded(c *plugin.Compile, key string) *snapshot.Topology {
	t := c.Snapshot.Topology(key)
	version := t.Version
	c.Guard(func() bool { return t.Version == version })
	return t
}

func (f *filter) place(t *snapshot.Topology) int {
	if t.Unique() {
		return 0
	}
	for i, o := range f.shared {
		if o == t {
			return i + 1
		}
	}
	f.shared = append(f.shared, t)
	f.width++
	return len(f.shared)
}

// eachExisting visits the terms of placed pods that match the shape, and guards that no further one comes.
func eachExisting(c *plugin.Compile, want func(snapshot.TermKind) bool, visit func(*snapshot.Term)) {
	s, shape := c.Snapshot, c.Shape
	known := s.TermsSince(0, func(t *snapshot.Term) {
		if want(t.Kind) && s.Matches(&t.PodMatch, shape) {
			visit(t)
		}
	})
	c.Guard(func() bool {
		fresh := false
		known = s.TermsSince(known, func(t *snapshot.Term) {
			fresh = fresh || want(t.Kind) && s.Matches(&t.PodMatch, shape)
		})
		return !fresh
	})
}

func requiredTerms(shape *snapshot.Shape) (affinity, anti []snapshot.AffinityTerm) {
	a := shape.Spec.Affinity
	if a == nil {
		return nil, nil
	}
	if a.PodAffinity != nil {
		affinity = snapshot.AffinityTerms(shape.Namespace, shape.Labels, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		anti = snapshot.AffinityTerms(shape.Namespace, shape.Labels, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	return affinity, anti
}

// Width implements plugin.Group.
func (f *filter) Width() int { return f.width }

// Follow implements plugin.Group: all counts are the Snapshot's own.
func (f *filter) Follow(int32) {}

// Key implements plugin.Group.
func (f *filter) Key(row int32, key []int32) {
	var bits int32
	for i, in := range f.affinityIn {
		domain := in.Topology.Domain(row)
		if domain < 0 {
			bits |= missesLabel
		} else if f.affinityKeys[i] == 0 && in.At(domain) == 0 {
			bits |= lacksAffinity
		}
	}
	for i := range f.anti {
		if c := &f.anti[i]; c.key == 0 && c.in.Row(row) > 0 {
			bits |= hasAnti
		}
	}
	for i := range f.existing {
		if c := &f.existing[i]; c.key == 0 && c.in.Row(row) > 0 {
			bits |= hasAntiAgainst
		}
	}
	key[0] = bits
	for i, t := range f.shared {
		key[i+1] = t.Domain(row)
	}
}

// CheckKey implements plugin.GroupFilter.
func (f *filter) CheckKey(key []int32) plugin.Verdict {
	if f.affinity != nil && !f.affinityHolds(key) {
		return refusedAffinity
	}
	if key[0]&hasAnti != 0 || anyIn(f.anti, key) {
		return refusedAnti
	}
	if key[0]&hasAntiAgainst != 0 || anyIn(f.existing, key) {
		return refusedByExisting
	}
	return plugin.Fits
}

// affinityHolds says whether every term finds a pod in its domain. The first pod of a group that wants to be
// near itself may go anywhere.
func (f *filter) affinityHolds(key []int32) bool {
	if key[0]&missesLabel != 0 {
		return false
	}
	holds := key[0]&lacksAffinity == 0
	for i, in := range f.affinityIn {
		if place := f.affinityKeys[i]; place > 0 && in.At(key[place]) == 0 {
			holds = false
		}
	}
	if holds || !f.selfMatch {
		return holds
	}
	for _, in := range f.affinityIn {
		if in.Total > 0 {
			return false
		}
	}
	return true
}

func anyIn(checks []check, key []int32) bool {
	for i := range checks {
		if c := &checks[i]; c.key > 0 && c.in.At(key[c.key]) > 0 {
			return true
		}
	}
	return false
}

// Explain implements plugin.ColumnFilter.
func (*filter) Explain(v plugin.Verdict) (plugin.Code, []string) {
	switch v {
	case refusedAffinity:
		return plugin.Unresolvable, []string{"node(s) didn't match pod affinity rules"}
	case refusedAnti:
		return plugin.Unschedulable, []string{"node(s) didn't match pod anti-affinity rules"}
	}
	return plugin.Unschedulable, []string{"node(s) didn't satisfy existing pods anti-affinity rules"}
}

package interpodaffinity

import (
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// scorer sums weights: of the pod's preferred terms for each placed pod that they match, and of placed pods' terms that match the pod.
type scorer struct {
	own    []weighted // where a row is its own domain
	shared []weighted
	keys   []*snapshot.Topology
}

type weighted struct {
	in     *snapshot.DomainCount
	weight int64
	key    int
}

// CompileScore implements plugin.ScoreColumns.
func (p *Plugin) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	s := &scorer{}
	preferred := preferredTerms(c.Shape)
	for i := range preferred {
		t := &preferred[i]
		counter := c.Snapshot.Counter(false, t.PodMatch)
		c.Hold(counter)
		topology := guarded(c, t.TopologyKey)
		s.add(topology, counter.By(topology), int64(t.Weight))
	}
	if len(preferred) > 0 || !p.ignorePreferred {
		eachExisting(c, p.scores, func(t *snapshot.Term) {
			s.add(guarded(c, t.TopologyKey), t.In(c.Snapshot), p.weightOf(t))
		})
	}
	if len(s.own) == 0 && len(s.shared) == 0 {
		return nil
	}
	return s
}

func (p *Plugin) scores(kind snapshot.TermKind) bool {
	return kind == snapshot.PreferredAffinity || kind == snapshot.PreferredAntiAffinity || (kind == snapshot.RequiredAffinity && p.hardWeight > 0)
}

func (p *Plugin) weightOf(t *snapshot.Term) int64 {
	switch t.Kind {
	case snapshot.PreferredAffinity:
		return int64(t.Weight)
	case snapshot.PreferredAntiAffinity:
		return -int64(t.Weight)
	}
	return int64(p.hardWeight)
}

// preferredTerms are the shape's preferred terms, those of anti-affinity with a negative weight.
func preferredTerms(shape *snapshot.Shape) (terms []snapshot.AffinityTerm) {
	a := shape.Spec.Affinity
	if a == nil {
		return nil
	}
	if a.PodAffinity != nil {
		terms = snapshot.WeightedTerms(shape.Namespace, shape.Labels, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		against := snapshot.WeightedTerms(shape.Namespace, shape.Labels, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
		for i := range against {
			against[i].Weight = -against[i].Weight
		}
		terms = append(terms, against...)
	}
	return terms
}

func (s *scorer) add(t *snapshot.Topology, in *snapshot.DomainCount, weight int64) {
	if t.Unique() {
		s.own = append(s.own, weighted{in: in, weight: weight})
		return
	}
	key := -1
	for i, o := range s.keys {
		if o == t {
			key = i
		}
	}
	if key < 0 {
		key = len(s.keys)
		s.keys = append(s.keys, t)
	}
	s.shared = append(s.shared, weighted{in: in, weight: weight, key: key + 2})
}

// Width implements plugin.Group.
func (s *scorer) Width() int { return 2 + len(s.keys) }

// Follow implements plugin.Group.
func (*scorer) Follow(int32) {}

// Key implements plugin.Group: the sum where the row is its own domain (in two halves), then the shared domains.
func (s *scorer) Key(row int32, key []int32) {
	var sum int64
	for i := range s.own {
		sum += s.own[i].weight * int64(s.own[i].in.Row(row))
	}
	key[0], key[1] = int32(sum>>32), int32(uint32(sum))
	for i, t := range s.keys {
		key[i+2] = t.Domain(row)
	}
}

// Begin implements plugin.GroupScorer.
func (*scorer) Begin([]plugin.Class) {}

// Raw implements plugin.GroupScorer.
func (s *scorer) Raw(key []int32) int64 {
	sum := int64(key[0])<<32 | int64(uint32(key[1]))
	for i := range s.shared {
		w := &s.shared[i]
		sum += w.weight * int64(w.in.At(key[w.key]))
	}
	return sum
}

// Normalize implements plugin.GroupScorer.
func (*scorer) Normalize(raw, low, high int64) int64 {
	if high == low {
		return 0
	}
	return int64(float64(plugin.MaxScore) * (float64(raw-low) / float64(high-low)))
}

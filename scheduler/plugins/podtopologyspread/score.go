package podtopologyspread

import (
	"math"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

type scorer struct {
	set
	counts  []domains
	weights []float64 // by constraint; set by Begin
	seen    []uint32  // by domain; scratch of Begin
	mark    uint32
}

// CompileScore implements plugin.ScoreColumns.
func (p *Plugin) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	s := p.compile(c, corev1.ScheduleAnyway)
	if s == nil {
		return nil
	}
	f := &scorer{set: *s, counts: make([]domains, len(s.list)), weights: make([]float64, len(s.list))}
	for row := range c.Snapshot.Rows() {
		f.Follow(int32(row))
	}
	return f
}

// Width implements plugin.Group.
func (f *scorer) Width() int { return len(f.list) }

// Follow implements plugin.Group.
func (f *scorer) Follow(row int32) { follow(&f.set, f.counts, row) }

// Key implements plugin.Group: the domain; the node's own count where the topology is the host name (all pods count there, whether or not
// the node takes part) or every node is a domain; -1 without the label.
func (f *scorer) Key(row int32, key []int32) {
	for i := range f.list {
		k := &f.list[i]
		key[i] = k.topology.Domain(row)
		switch {
		case key[i] < 0:
		case k.host:
			key[i] = k.counter.Row(row)
		case k.topology.Unique():
			key[i] = f.counts[i].row(row)
		}
	}
}

func (f *scorer) ignored(key []int32) bool {
	if f.everyKey {
		for _, k := range key {
			if k < 0 {
				return true
			}
		}
	}
	return false
}

// Begin implements plugin.GroupScorer: a topology with more domains among the feasible nodes weighs more.
func (f *scorer) Begin(classes []plugin.Class) {
	for i := range f.list {
		f.weights[i] = math.Log(float64(f.size(i, classes) + 2))
	}
}

func (f *scorer) size(i int, classes []plugin.Class) (size int) {
	k := &f.list[i]
	f.mark++
	for c := range classes {
		key := classes[c].Key
		switch {
		case f.ignored(key):
		case k.host:
			size += classes[c].Rows
		case key[i] < 0:
		case k.topology.Unique():
			size += classes[c].Rows
		default:
			for int(key[i]) >= len(f.seen) {
				f.seen = append(f.seen, 0)
			}
			if f.seen[key[i]] != f.mark {
				f.seen[key[i]] = f.mark
				size++
			}
		}
	}
	return size
}

// Raw implements plugin.GroupScorer: pods already there, weighted; lower is better.
func (f *scorer) Raw(key []int32) int64 {
	if f.ignored(key) {
		return plugin.Ignored
	}
	sum := 0.0
	for i := range f.list {
		k := &f.list[i]
		if key[i] < 0 {
			continue
		}
		count := key[i]
		if !k.host && !k.topology.Unique() {
			count = f.counts[i].at(key[i])
		}
		sum += float64(count)*f.weights[i] + float64(k.maxSkew-1)
	}
	return int64(math.Round(sum))
}

// Normalize implements plugin.GroupScorer.
func (*scorer) Normalize(raw, low, high int64) int64 {
	if high <= 0 {
		return plugin.MaxScore
	}
	return plugin.MaxScore * (high + low - raw) / high
}

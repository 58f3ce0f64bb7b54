package defaultpreemption

import (
	"math"
	"time"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// moreImportant orders pods by priority, then by how long they have been running.
func moreImportant(a, b *snapshot.Pod) bool {
	if a.Shape.Priority != b.Shape.Priority {
		return a.Shape.Priority > b.Shape.Priority
	}
	return started(a).Before(started(b))
}

// started is when the pod was started; one that has not been yet counts as just now, in the far future.
func started(p *snapshot.Pod) time.Time {
	if t := p.Object.Status.StartTime; t != nil {
		return t.Time
	}
	return time.Unix(math.MaxInt32, 0)
}

// criterion is one rule for choosing among candidates: the least cost wins.
type criterion struct {
	name string
	cost func(*Candidate) int64
}

// criteria in the order in which they are asked.
func criteria() []criterion {
	return []criterion{
		{"fewest violated disruption budgets", func(c *Candidate) int64 { return c.Violations }},
		{"lowest highest priority among victims", func(c *Candidate) int64 { return int64(c.Pods[0].Shape.Priority) }},
		{"lowest sum of victims' priorities", func(c *Candidate) (sum int64) {
			for _, p := range c.Pods { // shifted, so that more victims never make less
				sum += int64(p.Shape.Priority) + math.MaxInt32 + 1
			}
			return sum
		}},
		{"fewest victims", func(c *Candidate) int64 { return int64(len(c.Pods)) }},
		{"most important victims started last", func(c *Candidate) int64 { return -earliest(c).UnixNano() }},
	}
}

// best chooses a candidate: fewest violated budgets, then the lowest top priority among victims, the lowest sum of
// priorities, the fewest victims, the latest start of the most important victims; then the first.
func best(list []Candidate) int {
	i, _ := choose(list)
	return i
}

// Why names the rule that decided for the candidate.
func Why(list []Candidate, _ int) string {
	_, why := choose(list)
	return why
}

func choose(list []Candidate) (chosen int, why string) {
	left := make([]int, len(list))
	for i := range left {
		left[i] = i
	}
	if len(left) == 1 {
		return 0, "the only candidate"
	}
	for _, k := range criteria() {
		lowest, kept := int64(math.MaxInt64), left[:0:0]
		for _, i := range left {
			switch n := k.cost(&list[i]); {
			case n < lowest:
				lowest, kept = n, append(kept[:0], i)
			case n == lowest:
				kept = append(kept, i)
			}
		}
		if left = kept; len(left) == 1 {
			return left[0], k.name
		}
	}
	return left[0], "the first of equals"
}

// earliest is when the first of the most important victims started.
func earliest(c *Candidate) time.Time {
	t := started(c.Pods[0])
	for _, p := range c.Pods[1:] {
		if p.Shape.Priority == c.Pods[0].Shape.Priority && started(p).Before(t) {
			t = started(p)
		}
	}
	return t
}

// cache remembers what trying a row gave, for pods of one shape, until the row changes: when many pods alike preempt one after
// the other, each finds nearly all rows tried already.
type cache struct {
	rows   []int32
	shapes map[*snapshot.Shape]*tried
}

// maxShapes bounds the cache.
const maxShapes = 8

type tried struct {
	snapshot *snapshot.Snapshot
	epoch    uint64
	rows     map[int32]triedRow
}

type triedRow struct {
	seq     uint64
	found   Candidate
	reasons []string
}

// of returns what is known for the cycle's shape; nil if answers depend on more than the row.
func (k *cache) of(c *plugin.Cycle, f *plugin.Failure) *tried {
	if !f.ByRow {
		return nil
	}
	t := k.shapes[c.Pod.Shape]
	if t == nil || t.epoch != c.Snapshot.Epoch() || t.snapshot != c.Snapshot {
		if k.shapes == nil || len(k.shapes) >= maxShapes {
			k.shapes = map[*snapshot.Shape]*tried{}
		}
		t = &tried{snapshot: c.Snapshot, epoch: c.Snapshot.Epoch(), rows: map[int32]triedRow{}}
		k.shapes[c.Pod.Shape] = t
	}
	return t
}

func (t *tried) try(row int32, do func() (Candidate, []string)) (Candidate, []string) {
	if t == nil {
		return do()
	}
	seq := t.snapshot.RowSeq(row)
	if known, ok := t.rows[row]; ok && known.seq == seq {
		return known.found, known.reasons
	}
	found, reasons := do()
	t.rows[row] = triedRow{seq, found, reasons}
	return found, reasons
}

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
	return started(a) < started(b)
}

// started is when the pod was started, in nanoseconds; one that has not been yet counts as just now, in the far future.
func started(p *snapshot.Pod) int64 {
	if t := p.Object.Status.StartTime; t != nil {
		return t.UnixNano()
	}
	return math.MaxInt32 * int64(time.Second)
}

// rules for choosing among candidates, in the order in which they are asked.
var rules = [...]string{
	"fewest violated disruption budgets",
	"lowest highest priority among victims",
	"lowest sum of victims' priorities",
	"fewest victims",
	"most important victims started last",
}

// costs are what a candidate costs by each rule: the least wins at the first rule by which two differ.
type costs [len(rules)]int64

// weigh works out the costs. The last may change while the victims stay the same: a pod's start is told late.
func (c *Candidate) weigh() {
	var sum int64
	for _, p := range c.Pods { // shifted, so that more victims never make less
		sum += int64(p.Shape.Priority) + math.MaxInt32 + 1
	}
	c.costs = costs{c.Violations, int64(c.Pods[0].Shape.Priority), sum, int64(len(c.Pods)), -earliest(c)}
}

// differ finds the first rule by which two candidates differ; len(rules) if none does.
func differ(a, b *Candidate) int {
	for i := range a.costs {
		if a.costs[i] != b.costs[i] {
			return i
		}
	}
	return len(rules)
}

// choose finds the best candidate, the first of equals, and names the rule by which the last of the others was left behind.
func choose(list []Candidate) (chosen int, why string) {
	if len(list) == 1 {
		return 0, "the only candidate"
	}
	for i := range list {
		if rule := differ(&list[i], &list[chosen]); rule < len(rules) && list[i].costs[rule] < list[chosen].costs[rule] {
			chosen = i
		}
	}
	last := 0
	for i := range list {
		if i != chosen {
			last = max(last, differ(&list[i], &list[chosen]))
		}
	}
	if last == len(rules) {
		return chosen, "the first of equals"
	}
	return chosen, rules[last]
}

// earliest is when the first of the most important victims started.
func earliest(c *Candidate) int64 {
	t := started(c.Pods[0])
	for _, p := range c.Pods[1:] {
		if p.Shape.Priority == c.Pods[0].Shape.Priority {
			t = min(t, started(p))
		}
	}
	return t
}

// cache remembers what trying a row gave, for pods of one shape, until the row changes: when many pods alike preempt one after
// the other, each finds nearly all rows tried already.
type cache struct {
	rows   []int32 // of the last preemption; kept for their room, as is list
	list   []Candidate
	shapes map[*snapshot.Shape]*tried
}

// maxShapes bounds the cache.
const maxShapes = 8

type tried struct {
	snapshot *snapshot.Snapshot
	epoch    uint64
	rows     []triedRow
}

type triedRow struct {
	known   bool
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
		t = &tried{snapshot: c.Snapshot, epoch: c.Snapshot.Epoch()}
		k.shapes[c.Pod.Shape] = t
	}
	return t
}

func (t *tried) try(row int32, do func() (Candidate, []string)) (Candidate, []string) {
	if t == nil {
		return do()
	}
	if n := t.snapshot.Rows(); len(t.rows) < n {
		t.rows = append(t.rows, make([]triedRow, n-len(t.rows))...)
	}
	seq := t.snapshot.RowSeq(row)
	known := &t.rows[row]
	if !known.known || known.seq != seq {
		found, reasons := do()
		*known = triedRow{true, seq, found, reasons}
	}
	return known.found, known.reasons
}

package decide

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// ErrNoNodes says that there is not one node.
var ErrNoNodes = errors.New("no nodes available to schedule pods")

// tableBudget bounds the rows in tables: about 24 bytes each.
const tableBudget = 1 << 21

// Upstream's numbers for how many feasible nodes are enough when not all are wanted.
const (
	minFeasible      = 100
	minFeasibleShare = 5
)

// Extender narrows and rates nodes from outside. Its calls do I/O; a profile without extenders decides without any.
type Extender interface {
	Name() string
	// Interested says whether the extender wants to be asked about the pod.
	Interested(pod *corev1.Pod) bool
	// Ignorable extenders may fail without failing the pod.
	Ignorable() bool
	// Filter returns the rows that remain, and why others do not, by row.
	Filter(ctx context.Context, pod *corev1.Pod, s *snapshot.Snapshot, rows []int32) (kept []int32, failed map[int32]*plugin.Status, err error)
	// Prioritize adds weighted scores, in the range of the plugins', to scores.
	Prioritize(ctx context.Context, pod *corev1.Pod, s *snapshot.Snapshot, rows []int32, scores []int64) error
}

// Request is one pod to place.
type Request struct {
	Profile   *profile.Profile
	Cycle     *plugin.Cycle
	Extenders []Extender
	// Timed asks for the durations.
	Timed bool

	began        time.Time
	filtered     time.Time
	restrictedBy []string
}

// Result is where the pod goes, or why nowhere.
type Result struct {
	// Row is the chosen row, -1 if there is none.
	Row int32
	// Score of the row; Ties is how many rows had it and Pick which of them was taken, from 0.
	Score      int64
	Ties, Pick int
	// Feasible rows were found among Evaluated ones.
	Feasible, Evaluated int
	// Filters and Scores are the places in the profile of the plugins that had a say. Shared: never change them.
	Filters, Scores []int
	// Filtering and Scoring are how long the two took, if the request is timed.
	Filtering, Scoring time.Duration
	// Failure says why no node is feasible; nil if one is.
	Failure *Failure
	// Err is an unexpected error: of a plugin, an extender, or ErrNoNodes.
	Err error
}

// Decider decides for one scheduler. Like the Snapshot it belongs to one goroutine.
type Decider struct {
	Snapshot *snapshot.Snapshot
	// Random returns a number from 0 to n-1; it breaks ties.
	Random func(n int) int

	decision uint64
	start    int // where the next scan begins
	tables   []*program

	// reused between decisions
	only     []int32
	skipped  []string
	filters  []activeFilter
	perPod   []profile.Score
	feasible []int32
	classes  []plugin.Class
	scores   []int64
	raw      []int64
	statuses map[int32]*plugin.Status
	verdicts []uint32
}

type activeFilter struct {
	name   string
	filter plugin.Filter
}

// New returns a Decider.
func New(s *snapshot.Snapshot) *Decider {
	return &Decider{Snapshot: s, Random: rand.IntN, statuses: map[int32]*plugin.Status{}}
}

// Decide places one pod. It changes nothing in the Snapshot.
func (d *Decider) Decide(ctx context.Context, r *Request) Result {
	if !r.Timed {
		return d.decide(ctx, r)
	}
	r.began = time.Now()
	result := d.decide(ctx, r)
	if r.filtered.IsZero() {
		result.Filtering = time.Since(r.began)
	} else {
		result.Filtering, result.Scoring = r.filtered.Sub(r.began), time.Since(r.filtered)
	}
	return result
}

func (d *Decider) decide(ctx context.Context, r *Request) Result {
	if d.Snapshot.Nodes() == 0 {
		return Result{Row: -1, Err: ErrNoNodes}
	}
	d.decision++
	g := d.program(r.Profile, r.Cycle.Pod.Shape)
	restricted, failure, err := d.preFilter(r)
	if err != nil || failure != nil {
		return Result{Row: -1, Failure: failure, Err: err}
	}
	extenders := interested(r.Extenders, r.Cycle.Pod.Object)
	if row, ok := r.Cycle.Pod.NominatedRow(); ok && d.allowed(restricted, row) {
		if result := d.decideAmong(ctx, r, g, []int32{row}, extenders, true); result.Row >= 0 {
			return result
		}
		d.decision++
	}
	switch {
	case restricted:
		return d.decideAmong(ctx, r, g, d.only, extenders, false)
	case len(d.filters) > 0 && len(d.perPod) == 0 && len(extenders) == 0 && !d.sampled(r.Profile, g):
		return d.decideInOrder(ctx, r, g)
	case len(d.filters) > 0 || len(d.perPod) > 0 || len(extenders) > 0 || d.sampled(r.Profile, g):
		return d.decideAmong(ctx, r, g, nil, extenders, false)
	}
	result := d.decideByTable(r, g)
	result.Filters, result.Scores = g.filterPlaces, g.scorePlaces
	return result
}

// program returns the profile compiled for the shape, up to date.
func (d *Decider) program(p *profile.Profile, shape *snapshot.Shape) *program {
	g, _ := shape.Programs[p.Name].(*program)
	if g == nil || g.profile != p || !g.catchUp() {
		uses := 0
		if g != nil {
			uses = g.uses
			d.forget(g)
			g.Release()
		}
		g = compile(p, shape, d.Snapshot)
		g.uses = uses
		if shape.Programs == nil {
			shape.Programs = map[string]any{}
		}
		shape.Programs[p.Name] = g
	}
	g.uses++
	g.stay = d.decision
	return g
}

// sampled says whether a part of the nodes is enough: when the profile wants it so, and for a shape that is seen for the first time,
// since it may be the only time. The second time all nodes are rated, and from then on that costs nothing.
func (d *Decider) sampled(p *profile.Profile, g *program) bool {
	if g.table != nil {
		return p.Percentage > 0 && p.Percentage < 100
	}
	if p.Percentage == 0 && g.uses > 1 {
		return false
	}
	return d.enough(p) < d.Snapshot.Nodes()
}

// enough is how many feasible nodes to look for.
func (d *Decider) enough(p *profile.Profile) int {
	all := d.Snapshot.Nodes()
	if all < minFeasible || p.Percentage >= 100 {
		return all
	}
	percentage := int(p.Percentage)
	if percentage == 0 {
		percentage = max(50-all/125, minFeasibleShare)
	}
	return max(all*percentage/100, minFeasible)
}

// preFilter runs PreFilter, and finds which per-pod plugins have a say.
func (d *Decider) preFilter(r *Request) (restricted bool, failure *Failure, err error) {
	d.skipped, d.filters, d.perPod, d.only = d.skipped[:0], d.filters[:0], d.perPod[:0], d.only[:0]
	clear(d.statuses)
	var by []string
	for _, p := range r.Profile.PreFilters {
		nodes, status := p.PreFilter(r.Cycle)
		switch {
		case status.Is(plugin.Skip):
			d.skipped = append(d.skipped, p.Name())
			continue
		case status.OK():
		case status.Code.Rejected():
			status.Plugin = p.Name()
			return false, d.rejected(r, status), nil
		default:
			return false, nil, status.AsError()
		}
		if nodes == nil {
			continue
		}
		by = append(by, p.Name())
		if restricted = d.restrict(nodes, restricted); len(d.only) == 0 && len(by) > 1 {
			return true, d.rejected(r, &plugin.Status{Code: plugin.Unresolvable, Plugin: p.Name(),
				Reasons: []string{"node(s) didn't satisfy plugin(s) [" + join(by) + "] simultaneously"}}), nil
		}
	}
	for _, f := range r.Profile.Filters {
		if f.PerPod != nil && !slices.Contains(d.skipped, f.Name) {
			d.filters = append(d.filters, activeFilter{f.Name, f.PerPod})
		}
	}
	for _, s := range r.Profile.Scores {
		if s.PerPod != nil && s.Weight != 0 && !slices.Contains(d.skipped, s.Name) && rates(s.PerPod, r.Cycle) {
			d.perPod = append(d.perPod, s)
		}
	}
	r.restrictedBy = by
	return restricted, nil, nil
}

func rates(s plugin.Score, c *plugin.Cycle) bool {
	r, ok := s.(plugin.Rater)
	return !ok || r.Rates(c)
}

// restrict narrows the rows down to those of the given names.
func (d *Decider) restrict(names []string, already bool) bool {
	if already {
		d.only = slices.DeleteFunc(d.only, func(row int32) bool { return !slices.Contains(names, d.Snapshot.Node[row].Name) })
		return true
	}
	for _, name := range names {
		if row, ok := d.Snapshot.Row(name); ok {
			d.only = append(d.only, row)
		}
	}
	return true
}

func (d *Decider) allowed(restricted bool, row int32) bool {
	return d.Snapshot.Exists(row) && (!restricted || slices.Contains(d.only, row))
}

func interested(all []Extender, pod *corev1.Pod) (some []Extender) {
	for _, e := range all {
		if e.Interested(pod) {
			some = append(some, e)
		}
	}
	return some
}

// decideByTable is the fast way: every rule is columns, and the table knows every row.
func (d *Decider) decideByTable(r *Request, g *program) Result {
	feasible := d.open(g)
	if feasible == 0 {
		return Result{Row: -1, Evaluated: d.Snapshot.Nodes(), Failure: d.tableFailure(g)}
	}
	r.mark()
	d.rateClasses(g)
	best, ties := int64(-1<<63), 0
	for _, c := range g.classes {
		if c.found == 0 {
			continue
		}
		slot := c.slots.best()
		switch total := slot.score + c.share; {
		case total > best:
			best, ties = total, len(slot.rows)
		case total == best:
			ties += len(slot.rows)
		}
	}
	pick := d.random(ties)
	result := Result{Score: best, Ties: ties, Pick: pick, Feasible: feasible, Evaluated: d.Snapshot.Nodes()}
	for _, c := range g.classes {
		if c.found == 0 {
			continue
		}
		slot := c.slots.best()
		if slot.score+c.share != best {
			continue
		}
		if pick < len(slot.rows) {
			result.Row = slot.rows[pick]
			return result
		}
		pick -= len(slot.rows)
	}
	panic("decide: the best row was lost")
}

// open brings the table to the present and finds which of its classes are feasible, and how many rows they have.
func (d *Decider) open(g *program) (feasible int) {
	if g.table == nil {
		d.makeRoom(d.Snapshot.Rows())
		g.fill()
		d.tables = append(d.tables, g)
	}
	for _, row := range g.table.suspects {
		g.enter(row)
	}
	g.table.suspects = g.table.suspects[:0]
	if len(g.groups) > 0 && d.Snapshot.Nominees() > 0 {
		d.suspect(g)
	}
	for _, c := range g.classes {
		c.stamp, c.found, c.share = d.decision, 0, 0
		if c.verdict = 0; c.slots.rows == 0 {
			continue
		}
		if c.verdict = g.checkGroups(c.key); c.verdict == 0 {
			c.found = c.slots.rows
			feasible += c.found
		}
	}
	return feasible
}

// mark notes that filtering is over.
func (r *Request) mark() {
	if r.Timed {
		r.filtered = time.Now()
	}
}

func (d *Decider) random(n int) int {
	if n <= 1 {
		return 0
	}
	return d.Random(n)
}

// suspect looks at the rows that are promised to pods that go first: filters by class must hold with those pods there, too.
func (d *Decider) suspect(g *program) {
	t := g.table
	d.Snapshot.EachNominated(func(row int32) {
		if int(row) >= len(t.class) || t.class[row] < 0 {
			return
		}
		if v := g.checkPromised(row, g.checkAll); v != 0 {
			g.set(row, v, -1, 0)
			t.suspects = append(t.suspects, row)
		}
	})
}

// rateClasses works out what the scores by class add for each class that has feasible rows.
func (d *Decider) rateClasses(g *program) {
	for _, c := range g.classes {
		c.share = 0
	}
	for i := range g.scores {
		step := &g.scores[i]
		d.classes = d.classes[:0]
		for _, c := range g.classes {
			if c.stamp == d.decision && c.found > 0 {
				d.classes = append(d.classes, plugin.Class{Key: c.key[step.off : step.off+step.width], Rows: c.found})
			}
		}
		step.group.Begin(d.classes)
		d.raw = d.raw[:0]
		low, high := int64(1<<63-1), int64(-1<<63)
		for _, c := range d.classes {
			raw := step.group.Raw(c.Key)
			d.raw = append(d.raw, raw)
			if raw != plugin.Ignored {
				low, high = min(low, raw), max(high, raw)
			}
		}
		i := 0
		for _, c := range g.classes {
			if c.stamp != d.decision || c.found == 0 {
				continue
			}
			if raw := d.raw[i]; raw != plugin.Ignored {
				c.share += step.weight * step.group.Normalize(raw, low, high)
			}
			i++
		}
	}
}

// makeRoom drops tables, those unused longest first, until n more rows fit the budget.
func (d *Decider) makeRoom(n int) {
	total := n
	for _, g := range d.tables {
		total += len(g.table.verdict)
	}
	for total > tableBudget && len(d.tables) > 0 {
		oldest := 0
		for i, g := range d.tables {
			if g.stay < d.tables[oldest].stay {
				oldest = i
			}
		}
		g := d.tables[oldest]
		total -= len(g.table.verdict)
		g.table, g.uses = nil, 0
		d.tables = slices.Delete(d.tables, oldest, oldest+1)
	}
}

func (d *Decider) forget(g *program) {
	if g.table != nil {
		d.tables = slices.DeleteFunc(d.tables, func(o *program) bool { return o == g })
	}
}

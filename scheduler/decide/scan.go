package decide

import (
	"context"
	"fmt"
	"slices"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// decideAmong goes through rows one by one: the given ones, or with nil all, in rotation, until enough are feasible.
// own says that the row is the one promised to this very pod.
func (d *Decider) decideAmong(ctx context.Context, r *Request, g *program, rows []int32, extenders []Extender, own bool) Result {
	result := Result{Row: -1, Filters: g.filterPlaces, Scores: g.scorePlaces}
	d.feasible = d.feasible[:0]
	clear(d.statuses)
	for len(d.verdicts) < d.Snapshot.Rows() {
		d.verdicts = append(d.verdicts, absent)
	}
	if rows != nil {
		for i := range d.verdicts {
			d.verdicts[i] = absent
		}
		for _, row := range rows {
			result.Evaluated++
			if err := d.visit(r, g, row, own); err != nil {
				return Result{Row: -1, Err: err}
			}
		}
	} else if err := d.rotate(ctx, r, g, &result); err != nil {
		return Result{Row: -1, Err: err}
	}
	for _, e := range extenders {
		if len(d.feasible) == 0 {
			break
		}
		kept, failed, err := e.Filter(ctx, r.Cycle.Pod.Object, d.Snapshot, d.feasible)
		if err != nil {
			if e.Ignorable() {
				continue
			}
			return Result{Row: -1, Err: err}
		}
		for row, status := range failed {
			d.statuses[row] = status
		}
		d.feasible = append(d.feasible[:0], kept...)
	}
	result.Feasible = len(d.feasible)
	if len(d.feasible) == 0 {
		result.Failure = d.scanFailure(r, g)
		return result
	}
	r.mark()
	if err := d.rate(ctx, r, g, extenders); err != nil {
		return Result{Row: -1, Err: err}
	}
	d.pickScanned(&result)
	return result
}

// rotate visits rows from where the last scan ended, in steps that mix neighbours.
func (d *Decider) rotate(ctx context.Context, r *Request, g *program, result *Result) error {
	n := d.Snapshot.Rows()
	enough := d.enough(r.Profile)
	step := strideFor(n)
	for i := range d.verdicts {
		d.verdicts[i] = absent
	}
	at := d.start % n
	for i := 0; i < n && len(d.feasible) < enough; i++ {
		if d.Snapshot.Exists(int32(at)) {
			result.Evaluated++
			if err := d.visit(r, g, int32(at), false); err != nil {
				return err
			}
		}
		if at += step; at >= n {
			at -= n
		}
		if i&63 == 63 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	d.start = at
	return nil
}

// strideFor returns a number without common divisor with n, near its golden section.
func strideFor(n int) int {
	if n < 4 {
		return 1
	}
	step := int(float64(n) * 0.618)
	for gcd(step, n) != 1 {
		step--
	}
	return step
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// visit evaluates one row and keeps it if it is feasible.
func (d *Decider) visit(r *Request, g *program, row int32, own bool) error {
	verdict := d.verdictOf(r, g, row, own)
	d.verdicts[row] = verdict
	if verdict != 0 {
		return nil
	}
	status, err := d.ask(r.Cycle, g, row, own)
	if err != nil {
		return err
	}
	if !status.OK() {
		d.statuses[row] = status
		return nil
	}
	d.feasible = append(d.feasible, row)
	return nil
}

// ask asks the per-pod filters about a row: as it is, and with the pods that are promised the row and go first. own says that the row is
// promised to this very pod.
func (d *Decider) ask(c *plugin.Cycle, g *program, row int32, own bool) (status *plugin.Status, err error) {
	if status, err = d.askAll(c, row); err != nil || !status.OK() || len(d.filters) == 0 || len(d.Snapshot.Nominated[row]) == 0 {
		return status, err
	}
	again := func() { g.withPromised(row, func() { status, err = d.askAll(c, row) }) }
	if own {
		g.withoutSelf(c.Pod, row, again)
	} else {
		again()
	}
	return status, err
}

func (d *Decider) askAll(c *plugin.Cycle, row int32) (*plugin.Status, error) {
	for _, f := range d.filters {
		status := f.filter.Filter(c, row)
		if status.OK() {
			continue
		}
		if !status.Code.Rejected() {
			return nil, fmt.Errorf("running %q filter plugin: %w", f.name, status.AsError())
		}
		status.Plugin = f.name
		return status, nil
	}
	return nil, nil
}

func (d *Decider) verdictOf(r *Request, g *program, row int32, own bool) uint32 {
	if own {
		return g.withoutOwn(r.Cycle.Pod, row)
	}
	var verdict uint32
	var id int32
	if g.table != nil && int(row) < len(g.table.verdict) {
		if verdict = g.table.verdict[row]; verdict != 0 {
			return verdict
		}
		id = g.table.class[row]
	} else {
		if verdict = g.check(row); verdict != 0 {
			return verdict
		}
		id = g.classOf(row)
	}
	if len(g.groups) == 0 {
		return 0
	}
	c := g.classes[id]
	if c.stamp != d.decision {
		c.stamp, c.found = d.decision, 0
		c.verdict = g.checkGroups(c.key)
	}
	if c.verdict == 0 && len(d.Snapshot.Nominated[row]) > 0 {
		return g.checkPromised(row, g.checkAll)
	}
	return c.verdict
}

// withoutOwn evaluates a row with the pods promised to it, except the pod itself.
func (g *program) withoutOwn(pod *snapshot.Pod, row int32) uint32 {
	if !g.snapshot.Exists(row) {
		return absent
	}
	if len(g.snapshot.Nominated[row]) == 0 {
		return g.checkAll(row)
	}
	var v uint32
	g.withoutSelf(pod, row, func() { v = g.checkPromised(row, g.checkAll) })
	if v != 0 {
		return v
	}
	return g.checkAll(row)
}

// rate fills d.scores for d.feasible.
func (d *Decider) rate(ctx context.Context, r *Request, g *program, extenders []Extender) error {
	d.scores = d.scores[:0]
	if len(d.feasible) == 1 && len(extenders) == 0 {
		d.scores = append(d.scores, 0)
		return nil
	}
	for _, c := range g.classes {
		c.stamp, c.found = d.decision, 0
	}
	for _, row := range d.feasible {
		c := g.classes[d.classAt(g, row)]
		c.found++
	}
	d.rateClasses(g)
	for _, row := range d.feasible {
		if g.table != nil && int(row) < len(g.table.class) && g.table.class[row] >= 0 {
			d.scores = append(d.scores, g.table.score[row]+g.classes[g.table.class[row]].share)
		} else {
			d.scores = append(d.scores, g.rowScore(row)+g.classes[g.classOf(row)].share)
		}
	}
	if err := d.ratePerPod(r); err != nil {
		return err
	}
	for _, e := range extenders { // what an extender cannot rate is left unrated, as upstream does
		_ = e.Prioritize(ctx, r.Cycle.Pod.Object, d.Snapshot, d.feasible, d.scores)
	}
	return nil
}

func (d *Decider) classAt(g *program, row int32) int32 {
	if g.table != nil && int(row) < len(g.table.class) && g.table.class[row] >= 0 {
		return g.table.class[row]
	}
	return g.classOf(row)
}

// ratePerPod adds the scores of per-pod plugins.
func (d *Decider) ratePerPod(r *Request) error {
	for _, p := range r.Profile.PreScores {
		if slices.Contains(d.skipped, p.Name()) {
			continue
		}
		if status := p.PreScore(r.Cycle, d.feasible); status.Is(plugin.Skip) {
			d.skipped = append(d.skipped, p.Name())
		} else if !status.OK() {
			return fmt.Errorf("running PreScore plugin %q: %w", p.Name(), status.AsError())
		}
	}
	for _, s := range d.perPod {
		if slices.Contains(d.skipped, s.Name) {
			continue
		}
		raw, err := scoresOf(r.Cycle, s.PerPod, d.feasible)
		if err != nil {
			return err
		}
		for i := range raw {
			d.scores[i] += s.Weight * raw[i]
		}
	}
	return nil
}

// scoresOf runs Score and Normalize of one plugin.
func scoresOf(c *plugin.Cycle, p plugin.Score, rows []int32) ([]int64, error) {
	scores := make([]int64, len(rows))
	for i, row := range rows {
		score, status := p.Score(c, row)
		if !status.OK() {
			return nil, fmt.Errorf("running Score plugin %q: %w", p.Name(), status.AsError())
		}
		scores[i] = score
	}
	if n, ok := p.(plugin.Normalize); ok {
		if status := n.Normalize(c, rows, scores); !status.OK() {
			return nil, fmt.Errorf("running Normalize of plugin %q: %w", p.Name(), status.AsError())
		}
	}
	for i := range scores {
		if scores[i] < 0 || scores[i] > plugin.MaxScore {
			return nil, fmt.Errorf("plugin %q returns an invalid score %v, it should in the range of [0, %d] after normalizing", p.Name(), scores[i], plugin.MaxScore)
		}
	}
	return scores, nil
}

func (d *Decider) pickScanned(result *Result) {
	best, ties := d.scores[0], 0
	for _, score := range d.scores {
		switch {
		case score > best:
			best, ties = score, 1
		case score == best:
			ties++
		}
	}
	result.Score, result.Ties = best, ties
	result.Pick = d.random(ties)
	left := result.Pick
	for i, score := range d.scores {
		if score != best {
			continue
		}
		if left == 0 {
			result.Row = d.feasible[i]
			return
		}
		left--
	}
}

package decide

import (
	"context"
	"slices"
)

// decideInOrder asks the per-pod filters about the rows of the table in order of their scores, and takes the first that they have nothing
// against. It needs all feasible rows to be of one class: then what the filters say of other rows cannot change a row's score. Other pods
// are decided by a scan, which the table makes cheaper.
func (d *Decider) decideInOrder(ctx context.Context, r *Request, g *program) Result {
	feasible := d.open(g)
	classes := 0
	for _, c := range g.classes {
		if c.found > 0 {
			classes++
		}
	}
	if classes != 1 {
		return d.decideAmong(ctx, r, g, nil, nil, false)
	}
	r.mark()
	d.rateClasses(g)
	share := int64(0)
	for _, c := range g.classes {
		share += c.share
	}
	result := Result{Row: -1, Evaluated: d.Snapshot.Nodes(), Filters: g.filterPlaces, Scores: g.scorePlaces}
	for score, rows := range d.byScore(g) {
		for asked := 0; len(rows) > 0; asked++ {
			if asked&63 == 63 && ctx.Err() != nil {
				return Result{Row: -1, Err: ctx.Err()}
			}
			pick := d.random(len(rows))
			status, err := d.ask(r.Cycle, g, rows[pick], false)
			if err != nil {
				return Result{Row: -1, Err: err}
			}
			if status.OK() {
				result.Row, result.Score, result.Ties, result.Pick, result.Feasible = rows[pick], score+share, len(rows), pick, feasible
				return result
			}
			rows[pick] = rows[len(rows)-1]
			rows = rows[:len(rows)-1]
			feasible--
		}
	}
	return d.decideAmong(ctx, r, g, nil, nil, false) // it tells why, too
}

// byScore goes through the feasible rows of a table, the best score first. The rows may be reordered.
func (d *Decider) byScore(g *program) func(yield func(int64, []int32) bool) {
	return func(yield func(int64, []int32) bool) {
		last := int64(1<<63 - 1)
		for {
			best, found := int64(0), false
			for _, c := range g.classes {
				if i, ok := c.below(last); ok && (!found || c.slots.list[i].score > best) {
					best, found = c.slots.list[i].score, true
				}
			}
			if !found {
				return
			}
			d.feasible = d.feasible[:0]
			for _, c := range g.classes {
				if i, ok := c.below(last); ok && c.slots.list[i].score == best {
					d.feasible = append(d.feasible, c.slots.list[i].rows...)
				}
			}
			if !yield(best, d.feasible) {
				return
			}
			last = best
		}
	}
}

// below is the best slot with rows whose score is less than limit, if the class is feasible and has one.
func (c *class) below(limit int64) (place int, ok bool) {
	if c.found == 0 {
		return 0, false
	}
	list := c.slots.list
	i := slices.IndexFunc(list[c.slots.top:], func(s slot) bool { return s.score < limit && len(s.rows) > 0 })
	return c.slots.top + i, i >= 0
}

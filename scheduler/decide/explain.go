package decide

import (
	"context"
	"slices"
	"sort"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Explanation is everything about one pod and every node: what each filter says, and for feasible nodes what each score gives.
// It is made for people who ask, not on the way of a decision.
type Explanation struct {
	// Rejected is a PreFilter's word against the pod as a whole.
	Rejected *Refusal `json:"rejected,omitempty"`
	// Filters are those that have a say about the pod, in order: each has nothing against a node that does not name it.
	Filters []string `json:"filters,omitempty"`
	// Nodes are in order of their total, best first, then by name.
	Nodes []NodeExplanation `json:"nodes"`
}

// NodeExplanation is what there is to say about one node.
type NodeExplanation struct {
	Node     string `json:"node"`
	Feasible bool   `json:"feasible"`
	// Refusals are of all filters that have something against the node, not of the first only.
	Refusals []Refusal     `json:"refusals,omitempty"`
	Scores   []PluginScore `json:"scores,omitempty"`
	Total    int64         `json:"total"`

	row int32
}

// Refusal is one filter's word against a node.
type Refusal struct {
	Plugin  string   `json:"plugin"`
	Code    string   `json:"code"`
	Reasons []string `json:"reasons"`
	// Remedies are changes that together would take the refusal away.
	Remedies []string `json:"remedies,omitempty"`
}

// PluginScore is one plugin's opinion of a feasible node.
type PluginScore struct {
	Plugin     string `json:"plugin"`
	Raw        int64  `json:"raw"`
	Normalized int64  `json:"normalized"`
	Weight     int64  `json:"weight"`
	Weighted   int64  `json:"weighted"`
}

// Advisor is implemented by filters that know what would change their verdict.
type Advisor interface {
	// Advise returns changes that together make the verdict go away.
	Advise(row int32, v plugin.Verdict) []string
}

// Explain asks every filter and every score about every node. Extenders are not asked.
func (d *Decider) Explain(ctx context.Context, r *Request) (*Explanation, error) {
	x := &Explanation{}
	if d.Snapshot.Nodes() == 0 {
		return x, ErrNoNodes
	}
	d.decision++
	g := compile(r.Profile, r.Cycle.Pod.Shape, d.Snapshot)
	defer g.Release()
	restricted, failure, err := d.preFilter(r)
	if err != nil {
		return nil, err
	}
	if failure != nil {
		x.Rejected = &Refusal{Plugin: failure.all.Plugin, Code: failure.all.Code.String(), Reasons: failure.all.Reasons}
	}
	x.Filters = d.asked(r, g)
	var feasible []int32
	for row := range int32(d.Snapshot.Rows()) {
		if !d.Snapshot.Exists(row) {
			continue
		}
		n := NodeExplanation{Node: d.Snapshot.NameOf(row), row: row}
		if restricted && !slices.Contains(d.only, row) {
			n.Refusals = append(n.Refusals, Refusal{Plugin: join(r.restrictedBy), Code: plugin.Unresolvable.String(),
				Reasons: []string{"node(s) didn't satisfy plugin(s) [" + join(r.restrictedBy) + "]"}})
		}
		n.Refusals = append(n.Refusals, d.refusals(r, g, row)...)
		if n.Feasible = len(n.Refusals) == 0 && failure == nil; n.Feasible {
			feasible = append(feasible, row)
		}
		x.Nodes = append(x.Nodes, n)
	}
	if err := d.explainScores(r, g, x, feasible); err != nil {
		return nil, err
	}
	sort.SliceStable(x.Nodes, func(i, j int) bool {
		a, b := &x.Nodes[i], &x.Nodes[j]
		switch {
		case a.Feasible != b.Feasible:
			return a.Feasible
		case a.Total != b.Total:
			return a.Total > b.Total
		}
		return a.Node < b.Node
	})
	return x, nil
}

// asked names the filters that have a say.
func (d *Decider) asked(r *Request, g *program) (names []string) {
	for place, f := range r.Profile.Filters {
		if slices.Contains(g.filterPlaces, place) || slices.ContainsFunc(d.filters, func(a activeFilter) bool { return a.name == f.Name }) {
			names = append(names, f.Name)
		}
	}
	return names
}

// refusals asks all filters about a row.
func (d *Decider) refusals(r *Request, g *program, row int32) (list []Refusal) {
	add := func(place int, f plugin.ColumnFilter, v plugin.Verdict) {
		if v == plugin.Fits {
			return
		}
		code, reasons := f.Explain(v)
		refusal := Refusal{Plugin: g.profile.Filters[place].Name, Code: code.String(), Reasons: reasons}
		if a, ok := f.(Advisor); ok {
			refusal.Remedies = a.Advise(row, v)
		}
		list = append(list, refusal)
	}
	ask := func() {
		for i := range g.rows {
			add(g.rows[i].place, g.rows[i].row, g.rows[i].row.Check(row))
		}
		g.keyOf(row)
		for i := range g.groups {
			step := &g.groups[i]
			add(step.place, step.group, step.group.CheckKey(g.key[step.off:step.off+step.width]))
		}
		for _, f := range d.filters {
			if status := f.filter.Filter(r.Cycle, row); !status.OK() {
				list = append(list, Refusal{Plugin: f.name, Code: status.Code.String(), Reasons: status.Reasons})
			}
		}
	}
	ask()
	if len(list) == 0 && len(d.Snapshot.Nominated[row]) > 0 {
		g.withoutSelf(r.Cycle.Pod, row, func() { g.withPromised(row, ask) })
	}
	return list
}

// explainScores fills in the scores of the feasible rows.
func (d *Decider) explainScores(r *Request, g *program, x *Explanation, rows []int32) error {
	at := map[int32]*NodeExplanation{}
	for i := range x.Nodes {
		at[x.Nodes[i].row] = &x.Nodes[i]
	}
	for place, s := range r.Profile.Scores {
		raw, normalized, err := d.scoresOf(r, g, place, rows)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		for i, row := range rows {
			n := at[row]
			n.Scores = append(n.Scores, PluginScore{s.Name, raw[i], normalized[i], s.Weight, normalized[i] * s.Weight})
			n.Total += normalized[i] * s.Weight
		}
	}
	return nil
}

// scoresOf returns one plugin's scores for the rows; nil if it has nothing to say about the pod.
func (d *Decider) scoresOf(r *Request, g *program, place int, rows []int32) (raw, normalized []int64, err error) {
	raw, normalized = make([]int64, len(rows)), make([]int64, len(rows))
	for i := range g.rowScores {
		if g.rowScores[i].place == place {
			for j, row := range rows {
				raw[j] = g.rowScores[i].row.Score(row)
			}
			copy(normalized, raw)
			return raw, normalized, nil
		}
	}
	for i := range g.scores {
		if g.scores[i].place == place {
			g.scoreGroup(&g.scores[i], rows, raw, normalized)
			return raw, normalized, nil
		}
	}
	s := r.Profile.Scores[place]
	if s.PerPod == nil || slices.Contains(d.skipped, s.Name) {
		return nil, nil, nil
	}
	for _, p := range r.Profile.PreScores {
		if p.Name() != s.Name {
			continue
		}
		if status := p.PreScore(r.Cycle, rows); status.Is(plugin.Skip) {
			return nil, nil, nil
		} else if !status.OK() {
			return nil, nil, status.AsError()
		}
	}
	for j, row := range rows {
		score, status := s.PerPod.Score(r.Cycle, row)
		if !status.OK() {
			return nil, nil, status.AsError()
		}
		raw[j] = score
	}
	normalized, err = scoresOf(r.Cycle, s.PerPod, rows)
	return raw, normalized, err
}

func (g *program) scoreGroup(step *scoreStep, rows []int32, raw, normalized []int64) {
	classes := make([]plugin.Class, len(rows))
	for i, row := range rows {
		key := make([]int32, step.width)
		step.group.Key(row, key)
		classes[i] = plugin.Class{Key: key, Rows: 1}
	}
	step.group.Begin(classes)
	low, high := int64(1<<63-1), int64(-1<<63)
	for i := range classes {
		if raw[i] = step.group.Raw(classes[i].Key); raw[i] != plugin.Ignored {
			low, high = min(low, raw[i]), max(high, raw[i])
		}
	}
	for i := range raw {
		if raw[i] == plugin.Ignored {
			raw[i] = 0
		} else {
			normalized[i] = step.group.Normalize(raw[i], low, high)
		}
	}
}

// withoutSelf runs f while the pod's own promise of the row is set aside.
func (g *program) withoutSelf(pod *snapshot.Pod, row int32, f func()) {
	nominated := g.snapshot.Nominated[row]
	g.snapshot.Nominated[row] = slices.DeleteFunc(slices.Clone(nominated), func(p *snapshot.Pod) bool { return p.Object.UID == pod.Object.UID })
	defer func() { g.snapshot.Nominated[row] = nominated }()
	f()
}

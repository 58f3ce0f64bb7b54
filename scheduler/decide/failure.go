package decide

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Failure is why no node is feasible.
type Failure struct {
	// Nodes is how many there are.
	Nodes int
	// PreFilter is what a PreFilter said of the pod as a whole; then Reasons is empty.
	PreFilter string
	// Reasons counts nodes by reason.
	Reasons map[string]int
	// Plugins are those that refused some node: what the pod waits for.
	Plugins []string
	// Pending are plugins that wait for something outside.
	Pending []string
	// Extenders says that one refused some node, so that any event may help.
	Extenders bool
	// PostFilter is what preemption said.
	PostFilter string

	decider *Decider
	program *program
	byTable bool
	all     *plugin.Status // says the same of every row
	// last is the verdict that was asked about last, and whether evictions may change it: most rows are refused for the same.
	last    uint32
	lastMay bool
}

// Message is upstream's sentence.
func (f *Failure) Message() string {
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available:", f.Nodes)
	if f.PreFilter != "" {
		fmt.Fprintf(&b, " %s.", f.PreFilter)
	} else {
		list := make([]string, 0, len(f.Reasons))
		for reason, n := range f.Reasons {
			list = append(list, fmt.Sprintf("%d %s", n, reason))
		}
		sort.Strings(list)
		fmt.Fprintf(&b, " %s.", strings.Join(list, ", "))
	}
	if f.PostFilter != "" {
		fmt.Fprintf(&b, " %s", f.PostFilter)
	}
	return b.String()
}

func (f *Failure) count(by string, n int, reasons ...string) {
	if by != "" && !slices.Contains(f.Plugins, by) {
		f.Plugins = append(f.Plugins, by)
	}
	for _, reason := range reasons {
		f.Reasons[reason] += n
	}
}

func (d *Decider) failure(g *program) *Failure {
	return &Failure{Nodes: d.Snapshot.Nodes(), Reasons: map[string]int{}, decider: d, program: g}
}

// rejected is the failure of a pod that a PreFilter refused.
func (d *Decider) rejected(r *Request, status *plugin.Status) *Failure {
	f := &Failure{Nodes: d.Snapshot.Nodes(), PreFilter: status.Message(), Reasons: map[string]int{}, all: status, decider: d}
	f.note(status)
	return f
}

func (f *Failure) note(status *plugin.Status) {
	if status.Code == plugin.Pending {
		if !slices.Contains(f.Pending, status.Plugin) {
			f.Pending = append(f.Pending, status.Plugin)
		}
		return
	}
	f.count(status.Plugin, 0)
}

// Explain puts a verdict into its filter's name, code and reasons.
func (g *program) explain(v uint32) (name string, code plugin.Code, reasons []string) {
	place := int(v>>verdictBits) - 1
	verdict := plugin.Verdict(v & (1<<verdictBits - 1))
	for _, steps := range [2][]filterStep{g.rows, g.groups} {
		for i := range steps {
			if steps[i].place != place {
				continue
			}
			var filter plugin.ColumnFilter = steps[i].row
			if steps[i].row == nil {
				filter = steps[i].group
			}
			code, reasons = filter.Explain(verdict)
			return g.profile.Filters[place].Name, code, reasons
		}
	}
	return "", plugin.Error, nil
}

func (d *Decider) tableFailure(g *program) *Failure {
	f := d.failure(g)
	f.byTable = true
	for _, v := range g.table.refusals() {
		name, _, reasons := g.explain(v)
		f.count(name, g.table.refused[v], reasons...)
	}
	for _, c := range g.classes {
		if c.slots.rows > 0 && c.verdict != 0 {
			name, _, reasons := g.explain(c.verdict)
			f.count(name, c.slots.rows, reasons...)
		}
	}
	return f
}

func (d *Decider) scanFailure(r *Request, g *program) *Failure {
	f := d.failure(g)
	left := f.Nodes
	counts := map[uint32]int{}
	for row := range d.Snapshot.Rows() {
		if v := d.verdicts[row]; v != 0 && v != absent {
			counts[v]++
			left--
		}
	}
	for v, n := range counts {
		name, _, reasons := g.explain(v)
		f.count(name, n, reasons...)
	}
	for _, status := range d.statuses {
		left--
		f.note(status)
		f.count("", 1, status.Reasons...)
		if status.Plugin == "" {
			f.Extenders = true
		}
	}
	if len(r.restrictedBy) > 0 && left > 0 {
		for _, name := range r.restrictedBy {
			f.count(name, 0)
		}
		f.count("", left, "node(s) didn't satisfy plugin(s) ["+join(r.restrictedBy)+"]")
	}
	sort.Strings(f.Plugins)
	return f
}

// Helpful says whether evicting pods might make the row feasible. It is valid until the next decision.
func (f *Failure) Helpful(row int32) bool {
	if f.all != nil {
		return f.all.Code == plugin.Unschedulable
	}
	if !f.decider.Snapshot.Exists(row) {
		return false
	}
	if status, ok := f.decider.statuses[row]; ok && !f.byTable {
		return status.Code == plugin.Unschedulable
	}
	var v uint32
	if f.byTable {
		if v = f.program.table.verdict[row]; v == 0 {
			v = f.program.classes[f.program.table.class[row]].verdict
		}
	} else {
		v = f.decider.verdicts[row]
	}
	if v == absent {
		return false
	}
	if v != f.last || f.last == 0 {
		_, code, _ := f.program.explain(v)
		f.last, f.lastMay = v, code == plugin.Unschedulable
	}
	return f.lastMay
}

// Fits evaluates the filters on a row as the Snapshot is at this moment; used in trials. Restore must follow when all is back in place.
func (f *Failure) Fits(c *plugin.Cycle, row int32) (reasons []string, ok bool) {
	g := f.program
	if g == nil {
		return f.all.Reasons, false
	}
	g.refollow(row)
	if v := g.withoutOwn(c.Pod, row); v != 0 {
		_, _, reasons = g.explain(v)
		return reasons, false
	}
	status, err := f.decider.ask(c, g, row, true)
	if err != nil {
		return []string{err.Error()}, false
	}
	if !status.OK() {
		return status.Reasons, false
	}
	return nil, true
}

// ByRow says that Fits depends on nothing but the row.
func (f *Failure) ByRow() bool {
	return f.program != nil && len(f.program.groups) == 0 && len(f.decider.filters) == 0
}

// Restore must be called after a trial has put everything back.
func (f *Failure) Restore(row int32) {
	if f.program != nil {
		f.program.refollow(row)
	}
}

func join(names []string) string { return strings.Join(names, " ") }

package scheduler

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/septet-io/septet/scheduler/decide"
)

// Tell writes a decision for people: a few lines, then a table of nodes. wide shows raw, normalized and weighted scores, and every refusal.
func (d *Decision) Tell(w io.Writer, wide bool) error {
	var b strings.Builder
	d.tellOutcome(&b)
	d.tellQueue(&b)
	if p := d.Preemption; p != nil {
		fmt.Fprintf(&b, "Preemption took %s (%s) among:\n", p.Chosen, p.Why)
		for _, c := range p.Candidates {
			fmt.Fprintf(&b, "  %s: evict %s", c.Node, strings.Join(c.Victims, ", "))
			if c.Violations > 0 {
				fmt.Fprintf(&b, " against %d disruption budgets", c.Violations)
			}
			fmt.Fprintln(&b)
		}
	}
	if len(d.Remedies) > 0 {
		fmt.Fprintln(&b, "It would fit with any of:")
		for _, r := range d.Remedies {
			fmt.Fprintf(&b, "  %s\n", r)
		}
	}
	if r := d.Rejected; r != nil {
		fmt.Fprintf(&b, "%s refuses the pod as a whole: %s\n", r.Plugin, strings.Join(r.Reasons, ", "))
	}
	if wide && len(d.Filters) > 0 {
		fmt.Fprintf(&b, "Filters with a say: %s. What is not named against a node passes it.\n", strings.Join(d.Filters, ", "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return d.tellNodes(w, wide)
}

func (d *Decision) tellOutcome(b *strings.Builder) {
	fmt.Fprintf(b, "Pod %s/%s: ", d.Namespace, d.Name)
	switch d.Outcome {
	case Scheduled:
		fmt.Fprintf(b, "on %s", d.Node)
		switch {
		case d.Time.IsZero():
		case d.Ties > 1:
			fmt.Fprintf(b, ", one of %d nodes with the best score %d, taken at random", d.Ties, d.Score)
		case d.Feasible > 1:
			fmt.Fprintf(b, ", the best score %d", d.Score)
		default:
			b.WriteString(", the only feasible node")
		}
	case Undecided:
		if d.Node == "" {
			b.WriteString("not decided, and no node would do now")
		} else {
			fmt.Fprintf(b, "not decided; %s would be best now (%d)", d.Node, d.Score)
		}
	default:
		fmt.Fprintf(b, "%s: %s", d.Outcome, d.Message)
	}
	b.WriteString("\n")
	if !d.Time.IsZero() {
		fmt.Fprintf(b, "Decided %s by %s, attempt %d, in %v; %d of %d nodes were feasible.\n", d.Time.Format(time.RFC3339), d.Profile, d.Attempt,
			d.Took.Round(100*time.Nanosecond), d.Feasible, d.Evaluated)
	}
	if d.AsOf == "now" && !d.Time.IsZero() {
		b.WriteString("That was too long ago to show the nodes as they were: below they are as now.\n")
	}
}

func (d *Decision) tellQueue(b *strings.Builder) {
	q := d.Queue
	if q == nil {
		return
	}
	fmt.Fprintf(b, "In the %s queue since %s, waiting since %s, tried %d times.\n", q.Queue, q.Since.Format(time.RFC3339), q.First.Format(time.RFC3339), q.Attempts)
	if !q.Until.IsZero() {
		fmt.Fprintf(b, "Backs off until %s.\n", q.Until.Format(time.RFC3339))
	}
	if len(q.For) > 0 {
		fmt.Fprintf(b, "Refused by %s; waits for %s.\n", strings.Join(q.Refused, ", "), strings.Join(q.For, "; "))
	}
	if q.Nominated != "" {
		fmt.Fprintf(b, "Promised %s, once its victims have left.\n", q.Nominated)
	}
}

// tellNodes writes the table: a line a node, a column a score; for nodes that are refused, who refuses and why.
func (d *Decision) tellNodes(w io.Writer, wide bool) error {
	var plugins []string
	for i := range d.Nodes {
		for _, s := range d.Nodes[i].Scores {
			if !slices.Contains(plugins, s.Plugin) {
				plugins = append(plugins, s.Plugin)
			}
		}
	}
	sort.Strings(plugins)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(d.Nodes) > 0 {
		fmt.Fprintln(table, strings.Join(append([]string{"NODE", "TOTAL"}, plugins...), "\t"))
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		line := []string{n.Node, "-"}
		if n.Feasible {
			line[1] = fmt.Sprint(n.Total)
			for _, name := range plugins {
				line = append(line, scoreOf(n, name, wide))
			}
		}
		for j, r := range n.Refusals {
			if j > 0 && !wide {
				break
			}
			line = append(line, r.Plugin+": "+strings.Join(slices.Concat(r.Reasons, r.Remedies), "; "))
		}
		fmt.Fprintln(table, strings.Join(line, "\t"))
	}
	return table.Flush()
}

func scoreOf(n *decide.NodeExplanation, name string, wide bool) string {
	for _, s := range n.Scores {
		if s.Plugin == name && wide {
			return fmt.Sprintf("%d>%d*%d", s.Raw, s.Normalized, s.Weight)
		} else if s.Plugin == name {
			return fmt.Sprint(s.Weighted)
		}
	}
	return ""
}

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report has the figures of all contestants, in the order in which they were first seen.
type report struct {
	contestants []string
	order       []string
	figures     map[string]map[string]figure // by name and contestant
}

// figure is a value with its unit. More is better where more is set; that decides which way round a ratio is.
type figure struct {
	value float64
	unit  string
	more  bool
}

func (r *report) begin(contestant string) { r.contestants = append(r.contestants, contestant) }

func (r *report) note(name string, f figure) {
	if r.figures == nil {
		r.figures = map[string]map[string]figure{}
	}
	if r.figures[name] == nil {
		r.figures[name] = map[string]figure{}
		r.order = append(r.order, name)
	}
	r.figures[name][r.contestants[len(r.contestants)-1]] = f
}

func (r *report) rate(name string, perSecond float64) {
	r.note(name, figure{perSecond, "/s", true})
}

func (r *report) micros(name string, d time.Duration, n int) {
	if n > 0 {
		r.note(name, figure{float64(d.Nanoseconds()) / float64(n) / 1e3, "µs", false})
	}
}

func (r *report) millis(name string, d time.Duration) {
	r.note(name, figure{float64(d.Nanoseconds()) / 1e6, "ms", false})
}

func (r *report) megabytes(name string, mb float64) { r.note(name, figure{mb, "MB", false}) }

// print writes a table; the last columns say how many times better each of ours is than the peer.
func (r *report) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight|tabwriter.Debug)
	compared := false
	for _, c := range r.contestants {
		compared = compared || c == "peer" && len(r.contestants) > 1
	}
	head := append([]string{""}, r.contestants...)
	if compared {
		for _, c := range r.contestants {
			if c != "peer" {
				head = append(head, "× "+c)
			}
		}
	}
	fmt.Fprintln(table, strings.Join(head, "\t")+"\t")
	for _, name := range r.order {
		fmt.Fprintln(table, strings.Join(r.row(name, compared), "\t")+"\t")
	}
	return table.Flush()
}

func (r *report) row(name string, compared bool) []string {
	row := []string{name}
	figures := r.figures[name]
	for _, c := range r.contestants {
		f, ok := figures[c]
		if !ok {
			row = append(row, "-")
			continue
		}
		row = append(row, fmt.Sprintf("%.4g %s", f.value, f.unit))
	}
	if !compared {
		return row
	}
	for _, c := range r.contestants {
		if c != "peer" {
			row = append(row, ratio(figures[c], figures["peer"]))
		}
	}
	return row
}

func ratio(ours, theirs figure) string {
	if ours.value == 0 || theirs.value == 0 {
		return "-"
	}
	if ours.more {
		return fmt.Sprintf("%.1f", ours.value/theirs.value)
	}
	return fmt.Sprintf("%.1f", theirs.value/ours.value)
}

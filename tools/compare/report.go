package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
)

// report counts cases and gathers differences that are alike.
type report struct {
	mu     sync.Mutex
	detail int
	cases  map[string]int // by kind
	differ map[string]int // by kind
	alike  map[string]*finding
}

// finding is one difference and where it was seen.
type finding struct {
	kind, line string
	count      int
	examples   []string
}

func newReport(detail int) *report {
	return &report{detail: detail, cases: map[string]int{}, differ: map[string]int{}, alike: map[string]*finding{}}
}

func (r *report) add(kind, name string, lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cases[kind]++
	if len(lines) == 0 {
		return
	}
	r.differ[kind]++
	for _, line := range lines {
		key := kind + indexes.ReplaceAllString(line, "[]")
		f := r.alike[key]
		if f == nil {
			f = &finding{kind: kind, line: line}
			r.alike[key] = f
		}
		if f.count++; len(f.examples) < r.detail {
			f.examples = append(f.examples, name)
		}
	}
}

var indexes = regexp.MustCompile(`\[\d+\]`)

func (r *report) print(w io.Writer) {
	findings := make([]*finding, 0, len(r.alike))
	for _, f := range r.alike {
		findings = append(findings, f)
	}
	slices.SortFunc(findings, func(a, b *finding) int {
		if a.kind != b.kind {
			return compareText(a.kind, b.kind)
		}
		if a.count != b.count {
			return b.count - a.count
		}
		return compareText(a.line, b.line)
	})
	for _, f := range findings {
		fmt.Fprintf(w, "%s ×%d %s\n", f.kind, f.count, f.line)
		for _, e := range f.examples {
			fmt.Fprintf(w, "      %s\n", e)
		}
	}
	total, differ := 0, 0
	for _, kind := range slices.Sorted(mapKeys(r.cases)) {
		fmt.Fprintf(w, "%-40s %6d cases %6d differ\n", kind, r.cases[kind], r.differ[kind])
		total, differ = total+r.cases[kind], differ+r.differ[kind]
	}
	fmt.Fprintf(w, "%-40s %6d cases %6d differ\n", "all", total, differ)
}

func mapKeys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// brief is a value on one line, cut.
func brief(v any) string {
	if m, ok := v.(map[string]any); ok && m["kind"] == "Status" && m["message"] != nil {
		v = plain(fmt.Sprint(m["message"]))
	} else if ok && m["kind"] != nil && m["metadata"] != nil {
		return fmt.Sprint(m["kind"])
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 400
	if len(data) > most {
		return string(data[:most]) + "…"
	}
	return string(data)
}

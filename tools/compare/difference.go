package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// differences lists where two answers differ, each as one line; empty if nowhere. Both are normalized in place.
func differences(ours, theirs answer) []string {
	var out []string
	if ours.code != theirs.code {
		out = append(out, fmt.Sprintf("code: ours %d %s, theirs %d %s", ours.code, brief(ours.body), theirs.code, brief(theirs.body)))
		return out
	}
	for _, w := range without(ours.warnings, theirs.warnings) {
		out = append(out, "warning only of ours: "+w)
	}
	for _, w := range without(theirs.warnings, ours.warnings) {
		out = append(out, "warning only of theirs: "+w)
	}
	a, aStatus := ours.body.(map[string]any)
	b, bStatus := theirs.body.(map[string]any)
	if aStatus && bStatus && a["kind"] == "Status" && b["kind"] == "Status" {
		return append(out, statuses(a, b)...)
	}
	normalize(ours.body)
	normalize(theirs.body)
	values("", ours.body, theirs.body, &out)
	return out
}

// statuses compares failures: causes as a set, since some come out of maps, and the message only where causes say nothing of it.
func statuses(a, b map[string]any) []string {
	var out []string
	if a["reason"] != b["reason"] {
		out = append(out, fmt.Sprintf("reason: ours %v, theirs %v", a["reason"], b["reason"]))
	}
	ours, theirs := causes(a), causes(b)
	slices.Sort(ours)
	slices.Sort(theirs)
	ours, theirs = slices.Compact(ours), slices.Compact(theirs) // upstream tells some twice
	for _, c := range without(ours, theirs) {
		out = append(out, "cause only of ours: "+c)
	}
	for _, c := range without(theirs, ours) {
		out = append(out, "cause only of theirs: "+c)
	}
	if len(out) > 0 {
		return out
	}
	if m, n := plain(fmt.Sprint(a["message"])), plain(fmt.Sprint(b["message"])); m != n {
		if len(ours) > 1 {
			return nil // the same errors, in another order or more than once
		}
		return []string{fmt.Sprintf("message: ours %q, theirs %q", m, n)}
	}
	delete(a, "message")
	delete(b, "message")
	deleteCauses(a)
	deleteCauses(b)
	values("status", a, b, &out)
	return out
}

func causes(status map[string]any) []string {
	details, _ := status["details"].(map[string]any)
	list, _ := details["causes"].([]any)
	var out []string
	for _, c := range list {
		m, _ := c.(map[string]any)
		out = append(out, plain(fmt.Sprintf("%v %v: %v", m["field"], m["reason"], m["message"])))
	}
	return out
}

func deleteCauses(status map[string]any) {
	if details, ok := status["details"].(map[string]any); ok {
		delete(details, "causes")
		delete(details, "uid")
	}
}

// without returns what of a is not in b, counting duplicates.
func without(a, b []string) []string {
	rest := slices.Clone(b)
	var out []string
	for _, s := range a {
		if i := slices.Index(rest, s); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			out = append(out, s)
		}
	}
	return out
}

var (
	times    = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4} [A-Z]+( m=[+-][\d.]+)?|Z)?`)
	uids     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	pointers = regexp.MustCompile(`0x[0-9a-f]{6,}|\(0xc[0-9a-f]+\)`)
	versions = regexp.MustCompile(`(?i)(resourceVersion"?: ?"?)\d+`)
	// What servers draw by lot: the ends of generated names, cluster IPs above the part of the range that is for fixed ones.
	// A struct in a message has the field names of upstream's internal types there, those of the API here; documents that a patch
	// made begin with a quoted brace.
	structs   = regexp.MustCompile(`(?s)Invalid value: "?\{.*\}"?: `)
	generated = regexp.MustCompile(`(fine-|Bad_)[a-z0-9]{5}\b`)
	drawnIPs  = regexp.MustCompile(`10\.20\.[1-9]\d*\.\d+`)
)

// plain takes out of a message what differs from server to server and run to run, and the difference of two objects that some end with:
// upstream's is one of its internal types.
func plain(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	s = structs.ReplaceAllString(s, "Invalid value: STRUCT: ")
	s = times.ReplaceAllString(s, "TIME")
	s = uids.ReplaceAllString(s, "UID")
	s = pointers.ReplaceAllString(s, "POINTER")
	s = versions.ReplaceAllString(s, "${1}N")
	s = generated.ReplaceAllString(s, "${1}LOT")
	s = drawnIPs.ReplaceAllString(s, "LOT")
	return strings.ReplaceAll(s, "\u00a0", " ") // go-cmp writes either, by chance
}

// normalize takes out of an object what is each server's own.
func normalize(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, own := range []string{"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink", "time"} {
			if _, ok := v[own].(string); ok {
				v[own] = "SET"
			}
		}
		for _, own := range []string{"nodePort", "healthCheckNodePort"} {
			if port, ok := v[own].(float64); ok && port > 30085 && port < 32768 {
				v[own] = "LOT"
			}
		}
		for _, inner := range v {
			normalize(inner)
		}
	case []any:
		for _, inner := range v {
			normalize(inner)
		}
	}
}

// values compares two JSON values and notes each place where they differ.
func values(path string, a, b any, out *[]string) {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			break
		}
		for _, key := range keys(x, y) {
			values(path+"."+key, x[key], y[key], out)
		}
		return
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			break
		}
		for i := range x {
			values(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], out)
		}
		return
	case string:
		if y, ok := b.(string); ok && plain(x) == plain(y) {
			return
		}
	}
	if !reflect.DeepEqual(a, b) {
		*out = append(*out, fmt.Sprintf("object %s: ours %s, theirs %s", path, brief(a), brief(b)))
	}
}

func keys(maps ...map[string]any) []string {
	var out []string
	for _, m := range maps {
		for key := range m {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

package job

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// indexes is a set of completion indexes as ordered, disjoint intervals that do not touch: the form of
// status.completedIndexes, which stays short for large Jobs.
type indexes []interval

// interval holds both of its ends.
type interval struct{ first, last int }

// parseIndexes reads the form "1,3-5,7", leaving out what is not below completions. What cannot be read is left out too: it
// can only have been written by hand, and counting an index twice is worse than running it twice.
func parseIndexes(text string, completions int) indexes {
	var set indexes
	if text == "" {
		return nil
	}
	for _, part := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		if last = min(last, completions-1); first <= last {
			set = append(set, interval{first, last})
		}
	}
	return normalize(set)
}

// normalize orders intervals and joins those that overlap or touch.
func normalize(set indexes) indexes {
	slices.SortFunc(set, func(a, b interval) int { return a.first - b.first })
	joined := set[:0]
	for _, next := range set {
		if n := len(joined); n > 0 && next.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, next.last)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

// with returns the set with further indexes in it.
func (s indexes) with(more []int) indexes {
	if len(more) == 0 {
		return s
	}
	all := slices.Clone(s)
	for _, i := range more {
		all = append(all, interval{i, i})
	}
	return normalize(all)
}

// String returns the form of status.completedIndexes: two neighbours are written apart, more as a range.
func (s indexes) String() string {
	var text strings.Builder
	for _, part := range s {
		if text.Len() > 0 {
			text.WriteByte(',')
		}
		switch part.last - part.first {
		case 0:
			text.WriteString(strconv.Itoa(part.first))
		case 1:
			fmt.Fprintf(&text, "%d,%d", part.first, part.last)
		default:
			fmt.Fprintf(&text, "%d-%d", part.first, part.last)
		}
	}
	return text.String()
}

// total is the number of indexes in the set.
func (s indexes) total() int {
	n := 0
	for _, part := range s {
		n += part.last - part.first + 1
	}
	return n
}

func (s indexes) has(i int) bool {
	_, found := slices.BinarySearchFunc(s, i, func(part interval, i int) int {
		switch {
		case part.last < i:
			return -1
		case part.first > i:
			return 1
		}
		return 0
	})
	return found
}

// common is the number of indexes that two sets share.
func (s indexes) common(other indexes) int {
	n := 0
	for i, j := 0, 0; i < len(s) && j < len(other); {
		first, last := max(s[i].first, other[j].first), min(s[i].last, other[j].last)
		n += max(0, last-first+1)
		if s[i].last < other[j].last {
			i++
		} else {
			j++
		}
	}
	return n
}

// indexed reports whether each Pod of a Job has an index.
func indexed(job *batchv1.Job) bool {
	return job.Spec.CompletionMode != nil && *job.Spec.CompletionMode == batchv1.IndexedCompletion
}

// indexOf returns a Pod's completion index; -1 if it has none.
func indexOf(pod *corev1.Pod) int {
	n, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

package podtopologyspread

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

const (
	missingLabel plugin.Verdict = 1 + iota
	tooSkewed
)

type filter struct {
	set
	counts []domains // by constraint
}

// CompileFilter implements plugin.FilterColumns.
func (p *Plugin) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	s := p.compile(c, corev1.DoNotSchedule)
	if s == nil {
		return nil
	}
	f := &filter{set: *s, counts: make([]domains, len(s.list))}
	f.everyKey = true
	for row := range c.Snapshot.Rows() {
		f.Follow(int32(row))
	}
	return f
}

// Width implements plugin.Group.
func (f *filter) Width() int { return len(f.list) }

// Follow implements plugin.Group.
func (f *filter) Follow(row int32) { follow(&f.set, f.counts, row) }

// follow takes the row's present counts over.
func follow(s *set, counts []domains, row int32) {
	part := s.snapshot.Exists(row) && (!s.everyKey || s.hasKeys(row))
	for i := range s.list {
		k := &s.list[i]
		domain := k.topology.Domain(row)
		if part && domain >= 0 && s.takesPart(k, row) {
			counts[i].put(row, domain, k.counter.Row(row))
		} else {
			counts[i].put(row, -1, -1)
		}
	}
}

// Key implements plugin.Group: the domain, or where every node is one, its count; -1 without the label.
func (f *filter) Key(row int32, key []int32) {
	for i := range f.list {
		key[i] = f.list[i].topology.Domain(row)
		if key[i] >= 0 && f.list[i].topology.Unique() {
			key[i] = f.counts[i].row(row)
		}
	}
}

// CheckKey implements plugin.GroupFilter.
func (f *filter) CheckKey(key []int32) plugin.Verdict {
	for i := range f.list {
		k, d := &f.list[i], &f.counts[i]
		if key[i] < 0 {
			return missingLabel
		}
		count := key[i]
		if !k.topology.Unique() {
			count = d.at(key[i])
		}
		least := d.minimum()
		if d.alive < k.minDomains {
			least = 0
		}
		if int64(count)+int64(k.self)-int64(least) > int64(k.maxSkew) {
			return tooSkewed
		}
	}
	return plugin.Fits
}

// Explain implements plugin.ColumnFilter.
func (*filter) Explain(v plugin.Verdict) (plugin.Code, []string) {
	if v == missingLabel {
		return plugin.Unresolvable, []string{"node(s) didn't match pod topology spread constraints (missing required label)"}
	}
	return plugin.Unschedulable, []string{"node(s) didn't match pod topology spread constraints"}
}

// Advise implements the advice of an explanation.
func (f *filter) Advise(row int32, v plugin.Verdict) []string {
	node := f.snapshot.Node[row]
	if v == missingLabel {
		var list []string
		for i := range f.list {
			if key := f.list[i].topology.Key; f.list[i].topology.Domain(row) < 0 {
				list = append(list, "label "+node.Name+" with "+key)
			}
		}
		return list
	}
	return []string{"let its constraints see fewer pods where " + node.Name + " is, or more elsewhere"}
}

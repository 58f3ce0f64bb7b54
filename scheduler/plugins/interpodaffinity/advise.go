package interpodaffinity

import (
	"slices"
	"strings"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Advise implements the advice of an explanation.
func (f *filter) Advise(row int32, v plugin.Verdict) []string {
	node := f.snapshot.Node[row]
	switch v {
	case refusedAffinity:
		keys := make([]string, len(f.affinityIn))
		for i, in := range f.affinityIn {
			keys[i] = in.Topology.Key
			if _, ok := node.Labels[keys[i]]; !ok {
				return []string{"label " + node.Name + " with " + keys[i]}
			}
		}
		return []string{"run a pod that its affinity asks for in the " + among(keys) + " of " + node.Name}
	case refusedAnti:
		return []string{"move the pods that its anti-affinity avoids out of the " + occupied(f.anti, row) + " of " + node.Name}
	}
	return []string{"move the pods whose anti-affinity avoids it out of the " + occupied(f.existing, row) + " of " + node.Name}
}

// occupied names the topologies in whose domain of the row something is counted.
func occupied(checks []check, row int32) string {
	var keys []string
	for i := range checks {
		if in := checks[i].in; in.Row(row) > 0 {
			keys = append(keys, in.Topology.Key)
		}
	}
	return among(keys)
}

func among(keys []string) string {
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), ", ")
}

package noderesources

import (
	"math"

	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// BalancedName is the name of the plugin Balanced.
const BalancedName = "NodeResourcesBalancedAllocation"

// Balanced prefers nodes whose resources the pod would make more evenly used.
type Balanced struct {
	resources []schedulerv1.ResourceSpec
}

// NewBalanced returns the plugin. args are defaulted and valid.
func NewBalanced(args *schedulerv1.NodeResourcesBalancedAllocationArgs) *Balanced {
	return &Balanced{resources: args.Resources}
}

// Name implements plugin.Plugin.
func (*Balanced) Name() string { return BalancedName }

// CompileScore implements plugin.ScoreColumns. A pod that asks for none of the resources changes no balance.
func (p *Balanced) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	list := parts(c, p.resources, false)
	asks := false
	for i := range list {
		asks = asks || list[i].ask > 0
	}
	if !asks {
		return nil
	}
	return balance{c.Snapshot, list}
}

type balance struct {
	snapshot *snapshot.Snapshot
	parts    []part
}

// Score implements plugin.RowScorer: 50 if the balance stays as it is, more if it gets better.
func (b balance) Score(row int32) int64 {
	var with, without spread
	for i := range b.parts {
		p := &b.parts[i]
		allocatable, used := p.at(b.snapshot, row)
		if allocatable == 0 {
			continue
		}
		with.add(float64(used+p.ask) / float64(allocatable))
		without.add(float64(used) / float64(allocatable))
	}
	return plugin.MaxScore/2 + (plugin.MaxScore/2+with.score()-without.score())/2
}

// spread is the standard deviation of the shares in use, for any number of resources without keeping more than eight.
type spread struct {
	n      int
	values [8]float64
	more   []float64
}

func (s *spread) add(share float64) {
	share = min(share, 1)
	if s.n < len(s.values) {
		s.values[s.n] = share
	} else {
		s.more = append(s.more, share)
	}
	s.n++
}

func (s *spread) score() int64 {
	deviation := 0.0
	switch {
	case s.n == 2:
		deviation = math.Abs((s.values[0] - s.values[1]) / 2)
	case s.n > 2:
		deviation = s.deviation()
	}
	return int64((1 - deviation) * float64(plugin.MaxScore))
}

func (s *spread) deviation() float64 {
	all := append(s.values[:min(s.n, len(s.values)):min(s.n, len(s.values))], s.more...)
	total, sum := 0.0, 0.0
	for _, v := range all {
		total += v
	}
	mean := total / float64(len(all))
	for _, v := range all {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(all)))
}

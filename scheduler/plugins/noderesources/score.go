package noderesources

import (
	"math"

	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// part is one resource in a score.
type part struct {
	resource int32
	weight   int64
	ask      int64 // of the pod
	nonZero  bool  // count what pods without requests are taken to use
}

// parts lists the resources that count for the shape; an extended resource that it does not ask for does not.
func parts(c *plugin.Compile, resources []schedulerv1.ResourceSpec, nonZero bool) []part {
	var list []part
	for _, spec := range resources {
		p := part{weight: max(spec.Weight, 1), nonZero: nonZero}
		if spec.Name != "cpu" && spec.Name != "memory" && spec.Name != "ephemeral-storage" && !snapshot.IsScalar(spec.Name) {
			continue
		}
		p.resource = c.Snapshot.Resource(spec.Name)
		p.ask = c.Shape.Requests.Of(p.resource)
		switch {
		case p.resource == snapshot.CPU && nonZero:
			p.ask = c.Shape.Requests.NonZeroCPU
		case p.resource == snapshot.Memory && nonZero:
			p.ask = c.Shape.Requests.NonZeroMemory
		case p.ask == 0 && snapshot.IsScalar(spec.Name):
			continue
		}
		list = append(list, p)
	}
	return list
}

// at returns what the row has of the resource, and what is used of it, without the pod.
func (p *part) at(s *snapshot.Snapshot, row int32) (allocatable, used int64) {
	allocatable = s.Allocatable[p.resource][row]
	if p.nonZero {
		switch p.resource {
		case snapshot.CPU:
			return allocatable, s.NonZeroCPU[row]
		case snapshot.Memory:
			return allocatable, s.NonZeroMemory[row]
		}
	}
	return allocatable, s.Requested[p.resource][row]
}

// CompileScore implements plugin.ScoreColumns.
func (p *Fit) CompileScore(c *plugin.Compile) plugin.ColumnScorer {
	strategy := p.args.ScoringStrategy
	list := parts(c, strategy.Resources, true)
	if len(list) == 0 {
		return nil
	}
	base := allocation{c.Snapshot, list}
	switch strategy.Type {
	case schedulerv1.MostAllocated:
		return mostAllocated{base}
	case schedulerv1.RequestedToCapacityRatio:
		return &ratio{base, NewShape(strategy.RequestedToCapacityRatio.Shape)}
	}
	return leastAllocated{base}
}

type allocation struct {
	snapshot *snapshot.Snapshot
	parts    []part
}

type leastAllocated struct{ allocation }

// Score implements plugin.RowScorer: the share that stays free, on the weighted average.
func (a leastAllocated) Score(row int32) int64 {
	var sum, weights int64
	for i := range a.parts {
		p := &a.parts[i]
		allocatable, used := p.at(a.snapshot, row)
		if allocatable == 0 {
			continue
		}
		if used += p.ask; used <= allocatable {
			sum += (allocatable - used) * plugin.MaxScore / allocatable * p.weight
		}
		weights += p.weight
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

type mostAllocated struct{ allocation }

// Score implements plugin.RowScorer: the share that would be used, on the weighted average.
func (a mostAllocated) Score(row int32) int64 {
	var sum, weights int64
	for i := range a.parts {
		p := &a.parts[i]
		allocatable, used := p.at(a.snapshot, row)
		if allocatable == 0 {
			continue
		}
		sum += min(used+p.ask, allocatable) * plugin.MaxScore / allocatable * p.weight
		weights += p.weight
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

type ratio struct {
	allocation
	shape Shape
}

// Score implements plugin.RowScorer: the configured function of utilization, on the weighted average of the resources where it is above zero.
func (a *ratio) Score(row int32) int64 {
	var sum, weights int64
	for i := range a.parts {
		p := &a.parts[i]
		allocatable, used := p.at(a.snapshot, row)
		if allocatable == 0 {
			continue
		}
		utilization := int64(100)
		if used += p.ask; used <= allocatable {
			utilization = used * 100 / allocatable
		}
		if score := a.shape.At(utilization); score > 0 {
			sum += score * p.weight
			weights += p.weight
		}
	}
	if weights == 0 {
		return 0
	}
	return int64(math.Round(float64(sum) / float64(weights)))
}

// Shape is a function made of straight lines between points, flat outside of them.
type Shape []schedulerv1.UtilizationShapePoint

// NewShape takes points whose scores go from 0 to 10 and stretches them to 0 to 100.
func NewShape(points []schedulerv1.UtilizationShapePoint) Shape {
	shape := make(Shape, len(points))
	for i, p := range points {
		shape[i] = schedulerv1.UtilizationShapePoint{Utilization: p.Utilization, Score: p.Score * int32(plugin.MaxScore) / 10}
	}
	return shape
}

// At is the function's value.
func (s Shape) At(utilization int64) int64 {
	for i := range s {
		if utilization <= int64(s[i].Utilization) {
			if i == 0 {
				return int64(s[0].Score)
			}
			x0, y0 := int64(s[i-1].Utilization), int64(s[i-1].Score)
			return y0 + (int64(s[i].Score)-y0)*(utilization-x0)/(int64(s[i].Utilization)-x0)
		}
	}
	return int64(s[len(s)-1].Score)
}

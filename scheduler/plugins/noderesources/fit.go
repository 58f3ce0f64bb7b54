// Package noderesources holds the rules about what nodes have and pods ask for: NodeResourcesFit and NodeResourcesBalancedAllocation.
package noderesources

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// FitName is the name of the plugin Fit.
const FitName = "NodeResourcesFit"

// Fit keeps pods off nodes without enough left, and prefers nodes by how full they would be.
type Fit struct {
	args    *schedulerv1.NodeResourcesFitArgs
	ignored map[string]bool
}

// NewFit returns the plugin. args are defaulted and valid; ignored are resources that extenders look after.
func NewFit(args *schedulerv1.NodeResourcesFitArgs, ignored map[string]bool) *Fit {
	return &Fit{args: args, ignored: ignored}
}

// Name implements plugin.Plugin.
func (*Fit) Name() string { return FitName }

func (p *Fit) ignores(resource string) bool {
	if !snapshot.IsScalar(resource) {
		return false
	}
	if p.ignored[resource] {
		return true
	}
	for _, name := range p.args.IgnoredResources {
		if name == resource {
			return true
		}
	}
	group, _, _ := strings.Cut(resource, "/")
	for _, name := range p.args.IgnoredResourceGroups {
		if name == group {
			return true
		}
	}
	return false
}

// The bits of a verdict: whether even an empty node would be too small, no slot left, then one bit a resource asked for.
const (
	bitUnresolvable plugin.Verdict = 1 << iota
	bitSlots
	bitFirst
	lastBit plugin.Verdict = 1 << 25
)

type fitFilter struct {
	snapshot *snapshot.Snapshot
	asks     []snapshot.Amount
}

// CompileFilter implements plugin.FilterColumns.
func (p *Fit) CompileFilter(c *plugin.Compile) plugin.ColumnFilter {
	f := &fitFilter{snapshot: c.Snapshot}
	r := &c.Shape.Requests
	for _, a := range append([]snapshot.Amount{{Resource: snapshot.CPU, Value: r.CPU}, {Resource: snapshot.Memory, Value: r.Memory},
		{Resource: snapshot.Ephemeral, Value: r.Ephemeral}}, r.Scalars...) {
		if a.Value > 0 && !p.ignores(c.Snapshot.ResourceName(a.Resource)) {
			f.asks = append(f.asks, a)
		}
	}
	return f
}

// Check implements plugin.RowFilter.
func (f *fitFilter) Check(row int32) (v plugin.Verdict) {
	s := f.snapshot
	if s.Requested[snapshot.PodSlots][row]+1 > s.Allocatable[snapshot.PodSlots][row] {
		v = bitSlots
	}
	bit := bitFirst
	for _, a := range f.asks {
		allocatable := s.Allocatable[a.Resource][row]
		if a.Value > allocatable-s.Requested[a.Resource][row] {
			v |= bit
			if a.Value > allocatable {
				v |= bitUnresolvable
			}
		}
		if bit < lastBit {
			bit <<= 1
		}
	}
	return v
}

// Explain implements plugin.ColumnFilter.
func (f *fitFilter) Explain(v plugin.Verdict) (plugin.Code, []string) {
	var reasons []string
	if v&bitSlots != 0 {
		reasons = append(reasons, "Too many pods")
	}
	bit := bitFirst
	for _, a := range f.asks {
		if v&bit != 0 {
			reasons = append(reasons, "Insufficient "+f.snapshot.ResourceName(a.Resource))
		}
		if bit < lastBit {
			bit <<= 1
		}
	}
	if v&bitUnresolvable != 0 {
		return plugin.Unresolvable, reasons
	}
	return plugin.Unschedulable, reasons
}

// Advise says how much would have to be freed, or that the node is too small.
func (f *fitFilter) Advise(row int32, v plugin.Verdict) (list []string) {
	s := f.snapshot
	name := s.NameOf(row)
	if v&bitSlots != 0 {
		list = append(list, "remove a pod from "+name)
	}
	for _, a := range f.asks {
		allocatable, used := s.Allocatable[a.Resource][row], s.Requested[a.Resource][row]
		resource := s.ResourceName(a.Resource)
		switch {
		case allocatable == 0:
			list = append(list, "give "+name+" "+resource+": it has none")
		case a.Value > allocatable:
			list = append(list, fmt.Sprintf("ask for at most %s %s to fit an empty %s", amount(a.Resource, allocatable), resource, name))
		case a.Value > allocatable-used:
			list = append(list, fmt.Sprintf("free %s %s on %s", amount(a.Resource, a.Value-(allocatable-used)), resource, name))
		}
	}
	return list
}

func amount(resource int32, value int64) string {
	switch resource {
	case snapshot.CPU:
		return quantity.NewMilliQuantity(value, quantity.DecimalSI).String()
	case snapshot.Memory, snapshot.Ephemeral:
		return quantity.NewQuantity(value, quantity.BinarySI).String()
	}
	return quantity.NewQuantity(value, quantity.DecimalSI).String()
}

// Events implements plugin.Events.
func (p *Fit) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.AssignedPod, Action: plugin.Delete | plugin.UpdatePodScaleDown, Hint: p.freed},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodScaleDown},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeAllocatable, Hint: p.largeEnough},
	}
}

// freed says whether the pod that went had anything of what the waiting one asks for (every pod has a slot).
func (p *Fit) freed(waiting *corev1.Pod, e *plugin.Event) bool {
	gone, ok := e.Old.(*corev1.Pod)
	if !ok || e.New == nil {
		return true
	}
	return gone.UID != waiting.UID
}

// largeEnough says whether the node, if empty, could hold the pod.
func (p *Fit) largeEnough(waiting *corev1.Pod, e *plugin.Event) bool {
	node, ok := e.New.(*corev1.Node)
	if !ok {
		return true
	}
	for i := range waiting.Spec.Containers {
		for name, want := range waiting.Spec.Containers[i].Resources.Requests {
			have, ok := node.Status.Allocatable[name]
			if p.ignores(string(name)) || want.IsZero() {
				continue
			}
			if !ok || have.Cmp(want) < 0 {
				return false
			}
		}
	}
	return true
}

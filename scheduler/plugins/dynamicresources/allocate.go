package dynamicresources

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// maxSteps bounds the search for one node, so that a request made to be hard costs its own pod only.
const maxSteps = 200000

// need is one request, or the chosen alternative of one, with all its selectors.
type need struct {
	claim       int
	name        string // as results say it: "request" or "request/alternative"
	parent      string
	class       string
	selectors   []resourcev1.DeviceSelector // the class's and the request's
	mode        resourcev1.DeviceAllocationMode
	count       int64
	admin       bool
	tolerations []resourcev1.DeviceToleration
	capacity    *resourcev1.CapacityRequirements
	rank        int // place among the alternatives
}

// choice is a device given to a need.
type choice struct {
	need     *need
	device   *device
	consumed map[resourcev1.QualifiedName]quantity
	shared   bool
	first    bool // it is the first to take anything of the device
}

// search looks for devices for all requests of all claims on one node: depth first, the first that fits, taking back what leads nowhere.
type search struct {
	ctx      context.Context
	plugin   *Plugin
	node     *snapshot.Node
	claims   []*resourcev1.ResourceClaim
	requests []request
	pools    []*pool
	usage    *usage
	chosen   []choice
	rank     []int // of the alternative taken, by request
	steps    int
	matched  map[matchKey]bool
}

// request is one request of a claim: the alternatives in order of preference.
type request struct {
	claim        int
	alternatives []need
}

type matchKey struct {
	need   *need
	device *device
}

// requestsOf lists the requests of the claims with their classes' selectors.
func requestsOf(claims []*resourcev1.ResourceClaim, d *snapshot.Devices) (list []request, missing string) {
	for i, claim := range claims {
		for j := range claim.Spec.Devices.Requests {
			r := &claim.Spec.Devices.Requests[j]
			q := request{claim: i}
			if e := r.Exactly; e != nil {
				q.alternatives = append(q.alternatives, need{claim: i, name: r.Name, parent: r.Name, class: e.DeviceClassName, selectors: e.Selectors, mode: e.AllocationMode,
					count: e.Count, admin: e.AdminAccess != nil && *e.AdminAccess, tolerations: e.Tolerations, capacity: e.Capacity})
			}
			for k := range r.FirstAvailable {
				e := &r.FirstAvailable[k]
				q.alternatives = append(q.alternatives, need{claim: i, name: r.Name + "/" + e.Name, parent: r.Name, class: e.DeviceClassName, selectors: e.Selectors,
					mode: e.AllocationMode, count: e.Count, tolerations: e.Tolerations, capacity: e.Capacity, rank: k})
			}
			for k := range q.alternatives {
				n := &q.alternatives[k]
				class := d.Classes[n.class]
				if class == nil {
					return nil, fmt.Sprintf("request %s: device class %s does not exist", n.name, n.class)
				}
				n.selectors = append(slices.Clone(class.Spec.Selectors), n.selectors...)
			}
			list = append(list, q)
		}
	}
	return list, ""
}

// run searches; false if the node does not have what is asked for.
func (s *search) run() (bool, error) {
	s.matched = map[matchKey]bool{}
	s.rank = make([]int, len(s.requests))
	return s.next(0)
}

// next serves the requests from the i-th on.
func (s *search) next(i int) (bool, error) {
	if i == len(s.requests) {
		return true, nil
	}
	for k := range s.requests[i].alternatives {
		n := &s.requests[i].alternatives[k]
		s.rank[i] = n.rank
		ok, err := s.serve(n, i)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (s *search) serve(n *need, i int) (bool, error) {
	if n.mode == resourcev1.DeviceAllocationModeAll {
		return s.all(n, i)
	}
	return s.some(n, i, max(n.count, 1), 0, 0)
}

// all gives every matching device, of which there must be at least one and none taken.
func (s *search) all(n *need, i int) (bool, error) {
	depth := len(s.chosen)
	undo := func() {
		for len(s.chosen) > depth {
			s.takeBack()
		}
	}
	for _, p := range s.pools {
		for _, d := range p.devices {
			if !d.reachable(s.node) {
				continue
			}
			ok, err := s.matches(n, d)
			if err != nil {
				undo()
				return false, err
			}
			if !ok {
				continue
			}
			if !p.complete || !s.give(n, d) {
				undo()
				return false, nil
			}
		}
	}
	if len(s.chosen) == depth {
		return false, nil
	}
	ok, err := s.next(i + 1)
	if !ok {
		undo()
	}
	return ok, err
}

// some gives count devices, going on from a place among pools and devices: the order in which equal requests get devices does not matter.
func (s *search) some(n *need, i int, count int64, fromPool, fromDevice int) (bool, error) {
	if count == 0 {
		return s.next(i + 1)
	}
	for a := fromPool; a < len(s.pools); a++ {
		p := s.pools[a]
		if !p.complete {
			continue
		}
		for b := fromDevice; b < len(p.devices); b++ {
			if s.steps++; s.steps > maxSteps {
				return false, fmt.Errorf("the search for devices on node %s is too complex", s.node.Name)
			}
			d := p.devices[b]
			if !d.reachable(s.node) {
				continue
			}
			ok, err := s.matches(n, d)
			if err != nil {
				return false, err
			}
			if !ok || !s.give(n, d) {
				continue
			}
			ok, err = s.some(n, i, count-1, a, b+1)
			if ok || err != nil {
				return ok, err
			}
			s.takeBack()
		}
		fromDevice = 0
	}
	return false, s.ctx.Err()
}

// matches says whether the device is of the kind that is asked for, whoever has it.
func (s *search) matches(n *need, d *device) (bool, error) {
	key := matchKey{n, d}
	if known, ok := s.matched[key]; ok {
		return known, nil
	}
	ok := true
	for i := range n.selectors {
		c := n.selectors[i].CEL
		if c == nil {
			ok = false // a kind of selector that is not known here
			break
		}
		matched, err := s.plugin.expressions.matches(s.ctx, c.Expression, d)
		if err != nil {
			return false, err
		}
		if !matched {
			ok = false
			break
		}
	}
	s.matched[key] = ok
	return ok, nil
}

// full says whether a claim has as many devices as the API allows in its status.
func (s *search) full(claim int) bool {
	given := 0
	for i := range s.chosen {
		if s.chosen[i].need.claim == claim {
			given++
		}
	}
	return given >= resourcev1.AllocationResultsMaxSize
}

// give takes the device for the need if nothing speaks against it.
func (s *search) give(n *need, d *device) bool {
	if s.full(n.claim) {
		return false
	}
	c := choice{need: n, device: d, shared: sharable(d) && !n.admin}
	if !n.admin {
		if !d.tolerated(n.tolerations) {
			return false
		}
		switch {
		case c.shared:
			consumed, ok := s.usage.consumes(d, n.capacity)
			if !ok {
				return false
			}
			c.consumed = consumed
		case s.usage.devices[d.id] || !holds(d, n.capacity):
			return false
		}
		if !s.usage.devices[d.id] && !s.usage.counted(d) {
			return false
		}
	} else if slices.ContainsFunc(s.chosen, func(o choice) bool { return o.need == n && o.device == d }) {
		return false
	}
	if !s.constraintsHold(&c) {
		return false
	}
	if !n.admin {
		if c.shared {
			s.usage.share(d.id, c.consumed, 1)
		}
		if c.first = !s.usage.devices[d.id]; c.first {
			s.usage.devices[d.id] = true
			s.usage.count(d, 1)
		}
	}
	s.chosen = append(s.chosen, c)
	return true
}

func (s *search) takeBack() {
	last := len(s.chosen) - 1
	c := s.chosen[last]
	s.chosen = s.chosen[:last]
	if c.need.admin {
		return
	}
	if c.shared {
		s.usage.share(c.device.id, c.consumed, -1)
	}
	if c.first {
		delete(s.usage.devices, c.device.id)
		s.usage.count(c.device, -1)
	}
}

// constraintsHold checks the claim's constraints between the new choice and the earlier ones.
func (s *search) constraintsHold(c *choice) bool {
	constraints := s.claims[c.need.claim].Spec.Devices.Constraints
	for i := range constraints {
		k := &constraints[i]
		if !concerns(k.Requests, c.need) {
			continue
		}
		name, same := k.MatchAttribute, true
		if name == nil {
			name, same = k.DistinctAttribute, false
		}
		if name == nil {
			return false // a kind of constraint that is not known here
		}
		value := c.device.attribute(*name)
		if value == nil {
			return false
		}
		for j := range s.chosen {
			o := &s.chosen[j]
			if o.need.claim != c.need.claim || !concerns(k.Requests, o.need) {
				continue
			}
			if equality.Semantic.DeepEqual(*value, *o.device.attribute(*name)) != same {
				return false
			}
		}
	}
	return true
}

func concerns(names []string, n *need) bool {
	return len(names) == 0 || slices.Contains(names, n.name) || slices.Contains(names, n.parent)
}

// results makes the allocations of what was chosen, by claim.
func (s *search) results(d *snapshot.Devices) []*resourcev1.AllocationResult {
	out := make([]*resourcev1.AllocationResult, len(s.claims))
	for i := range out {
		out[i] = &resourcev1.AllocationResult{}
	}
	for i := range s.chosen {
		c := &s.chosen[i]
		r := resourcev1.DeviceRequestAllocationResult{
			Request: c.need.name, Driver: c.device.id.driver, Pool: c.device.id.pool, Device: c.device.id.name, Tolerations: c.need.tolerations,
			BindingConditions: c.device.spec.BindingConditions, BindingFailureConditions: c.device.spec.BindingFailureConditions,
		}
		if c.need.admin {
			r.AdminAccess = ptr.To(true)
		}
		if c.shared {
			r.ShareID, r.ConsumedCapacity = ptr.To(types.UID(uuid.NewString())), c.consumed
		}
		a := out[c.need.claim]
		a.Devices.Results = append(a.Devices.Results, r)
		a.NodeSelector = bind(a.NodeSelector, c.device, s.node.Name)
	}
	for i, claim := range s.claims {
		out[i].Devices.Config = s.configs(i, claim, d)
	}
	return out
}

// configs copies the configuration for the chosen requests: of their classes, then of the claim.
func (s *search) configs(i int, claim *resourcev1.ResourceClaim, d *snapshot.Devices) (list []resourcev1.DeviceAllocationConfiguration) {
	var needs []*need
	for j := range s.chosen {
		if n := s.chosen[j].need; n.claim == i && !slices.Contains(needs, n) {
			needs = append(needs, n)
		}
	}
	for _, n := range needs {
		for _, c := range d.Classes[n.class].Spec.Config {
			list = append(list, resourcev1.DeviceAllocationConfiguration{Source: resourcev1.AllocationConfigSourceClass, Requests: []string{n.name}, DeviceConfiguration: c.DeviceConfiguration})
		}
	}
	for _, c := range claim.Spec.Devices.Config {
		if len(c.Requests) == 0 || slices.ContainsFunc(needs, func(n *need) bool { return concerns(c.Requests, n) }) {
			list = append(list, resourcev1.DeviceAllocationConfiguration{Source: resourcev1.AllocationConfigSourceClaim, Requests: c.Requests, DeviceConfiguration: c.DeviceConfiguration})
		}
	}
	return list
}

package dynamicresources

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// usage is what of the devices is taken: whole devices, shares of those that can be shared, and counters of their pools.
type usage struct {
	devices  map[deviceID]bool
	capacity map[deviceID]map[resourcev1.QualifiedName]resource.Quantity
	counters map[counterID]resource.Quantity
}

type counterID struct{ driver, pool, set, name string }

func newUsage() *usage {
	return &usage{devices: map[deviceID]bool{}, capacity: map[deviceID]map[resourcev1.QualifiedName]resource.Quantity{}, counters: map[counterID]resource.Quantity{}}
}

// usageOf sums up what all allocated claims take, except those given.
func usageOf(d *snapshot.Devices, inv *inventory, except map[string]bool) *usage {
	u := newUsage()
	known := map[deviceID]*device{}
	for _, p := range inv.pools {
		for _, v := range p.devices {
			known[v.id] = v
		}
	}
	for key := range d.Claims {
		claim := d.Claim(key)
		if except[key] || claim.Status.Allocation == nil {
			continue
		}
		for i := range claim.Status.Allocation.Devices.Results {
			r := &claim.Status.Allocation.Devices.Results[i]
			if r.AdminAccess != nil && *r.AdminAccess {
				continue
			}
			id := deviceID{r.Driver, r.Pool, r.Device}
			if r.ShareID != nil {
				u.share(id, r.ConsumedCapacity, 1)
			}
			first := !u.devices[id]
			u.devices[id] = true
			if v := known[id]; v != nil && first {
				u.count(v, 1)
			}
		}
	}
	return u
}

// share adds consumed capacity (takes it away with -1).
func (u *usage) share(id deviceID, consumed map[resourcev1.QualifiedName]resource.Quantity, sign int) {
	have := u.capacity[id]
	if have == nil {
		have = map[resourcev1.QualifiedName]resource.Quantity{}
		u.capacity[id] = have
	}
	for name, q := range consumed {
		sum := have[name].DeepCopy()
		if sign > 0 {
			sum.Add(q)
		} else {
			sum.Sub(q)
		}
		have[name] = sum
	}
}

// count adds what a device takes of its pool's counters.
func (u *usage) count(d *device, sign int) {
	for i := range d.spec.ConsumesCounters {
		c := &d.spec.ConsumesCounters[i]
		for name, counter := range c.Counters {
			id := counterID{d.id.driver, d.id.pool, c.CounterSet, name}
			sum := u.counters[id].DeepCopy()
			if sign > 0 {
				sum.Add(counter.Value)
			} else {
				sum.Sub(counter.Value)
			}
			u.counters[id] = sum
		}
	}
}

// counted says whether the pool's counters have enough left for the device.
func (u *usage) counted(d *device) bool {
	for i := range d.spec.ConsumesCounters {
		c := &d.spec.ConsumesCounters[i]
		set := d.pool.counters[c.CounterSet]
		for name, counter := range c.Counters {
			sum := u.counters[counterID{d.id.driver, d.id.pool, c.CounterSet, name}].DeepCopy()
			sum.Add(counter.Value)
			limit, ok := set[name]
			if !ok || sum.Cmp(limit.Value) > 0 {
				return false
			}
		}
	}
	return true
}

func sharable(d *device) bool {
	return d.spec.AllowMultipleAllocations != nil && *d.spec.AllowMultipleAllocations
}

// consumes works out what a request takes of a sharable device (KEP-5075); false if the device cannot give that, or has not enough left.
func (u *usage) consumes(d *device, want *resourcev1.CapacityRequirements) (map[resourcev1.QualifiedName]resource.Quantity, bool) {
	out := map[resourcev1.QualifiedName]resource.Quantity{}
	for name, c := range d.spec.Capacity {
		var asked *resource.Quantity
		if want != nil {
			if q, ok := want.Requests[name]; ok {
				asked = &q
			}
		}
		amount, ok := rounded(&c, asked)
		if !ok {
			return nil, false
		}
		sum := u.capacity[d.id][name].DeepCopy()
		sum.Add(amount)
		if sum.Cmp(c.Value) > 0 {
			return nil, false
		}
		out[name] = amount
	}
	if want != nil {
		for name := range want.Requests {
			if _, ok := d.spec.Capacity[name]; !ok {
				return nil, false
			}
		}
	}
	return out, true
}

// rounded brings an amount to the next one that the policy allows; nothing asked for is the policy's default, or all there is.
func rounded(c *resourcev1.DeviceCapacity, asked *resource.Quantity) (resource.Quantity, bool) {
	p := c.RequestPolicy
	switch {
	case asked == nil && p != nil && p.Default != nil:
		return *p.Default, true
	case asked == nil:
		return c.Value, true
	case p == nil:
		return *asked, asked.Cmp(c.Value) <= 0
	case len(p.ValidValues) > 0:
		for _, v := range p.ValidValues {
			if asked.Cmp(v) <= 0 {
				return v, true
			}
		}
		return *asked, false
	case p.ValidRange != nil && p.ValidRange.Min != nil:
		amount := asked.DeepCopy()
		if amount.Cmp(*p.ValidRange.Min) < 0 {
			amount = p.ValidRange.Min.DeepCopy()
		}
		if step := p.ValidRange.Step; step != nil && step.Value() > 0 {
			over := amount.Value() - p.ValidRange.Min.Value()
			steps := (over + step.Value() - 1) / step.Value()
			amount = *resource.NewQuantity(p.ValidRange.Min.Value()+steps*step.Value(), asked.Format)
		}
		return amount, p.ValidRange.Max == nil || amount.Cmp(*p.ValidRange.Max) <= 0
	}
	return *asked, asked.Cmp(c.Value) <= 0
}

// holds says whether a device that is not shared has the capacity that a request wants at least.
func holds(d *device, want *resourcev1.CapacityRequirements) bool {
	if want == nil {
		return true
	}
	for name, q := range want.Requests {
		c, ok := d.spec.Capacity[name]
		if !ok || c.Value.Cmp(q) < 0 {
			return false
		}
	}
	return true
}

package dynamicresources

import (
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/scheduler/snapshot"
)

// deviceID names a device in the cluster.
type deviceID struct{ driver, pool, name string }

// String is upstream's form.
func (id deviceID) String() string { return id.driver + "/" + id.pool + "/" + id.name }

// device is one device and where it comes from.
type device struct {
	id    deviceID
	spec  *resourcev1.Device
	slice *resourcev1.ResourceSlice
	pool  *pool
	cel   map[string]any
}

// pool is all devices of one driver's pool, in its newest generation.
type pool struct {
	driver, name string
	generation   int64
	slices       []*resourcev1.ResourceSlice
	devices      []*device
	// complete says that all slices of the generation are there; else devices may be missing, and none is given out.
	complete bool
	counters map[string]map[string]resourcev1.Counter // shared ones, by set
}

// inventory is the devices of a Snapshot, gathered once for all pods until something changes.
type inventory struct {
	version uint64
	pools   []*pool
}

// take gathers the inventory.
func take(d *snapshot.Devices) *inventory {
	inv := &inventory{version: d.Version}
	byName := map[[2]string]*pool{}
	for _, s := range d.Slices {
		key := [2]string{s.Spec.Driver, s.Spec.Pool.Name}
		p := byName[key]
		switch {
		case p == nil || p.generation < s.Spec.Pool.Generation:
			byName[key] = &pool{driver: key[0], name: key[1], generation: s.Spec.Pool.Generation, slices: []*resourcev1.ResourceSlice{s}}
		case p.generation == s.Spec.Pool.Generation:
			p.slices = append(p.slices, s)
		}
	}
	for _, p := range byName {
		p.gather()
		inv.pools = append(inv.pools, p)
	}
	slices.SortFunc(inv.pools, func(a, b *pool) int { return strings.Compare(a.driver+"/"+a.name, b.driver+"/"+b.name) })
	return inv
}

func (p *pool) gather() {
	slices.SortFunc(p.slices, func(a, b *resourcev1.ResourceSlice) int { return strings.Compare(a.Name, b.Name) })
	p.complete = int64(len(p.slices)) == p.slices[0].Spec.Pool.ResourceSliceCount
	p.counters = map[string]map[string]resourcev1.Counter{}
	for _, s := range p.slices {
		for i := range s.Spec.SharedCounters {
			p.counters[s.Spec.SharedCounters[i].Name] = s.Spec.SharedCounters[i].Counters
		}
		for i := range s.Spec.Devices {
			p.devices = append(p.devices, &device{id: deviceID{p.driver, p.name, s.Spec.Devices[i].Name}, spec: &s.Spec.Devices[i], slice: s, pool: p})
		}
	}
}

// reachable says whether the device can be used on the node.
func (d *device) reachable(node *snapshot.Node) bool {
	name, selector, all := d.slice.Spec.NodeName, d.slice.Spec.NodeSelector, d.slice.Spec.AllNodes
	if d.slice.Spec.PerDeviceNodeSelection != nil && *d.slice.Spec.PerDeviceNodeSelection {
		name, selector, all = d.spec.NodeName, d.spec.NodeSelector, d.spec.AllNodes
	}
	switch {
	case name != nil && *name != "":
		return *name == node.Name
	case selector != nil:
		return snapshot.MatchTerms(selector.NodeSelectorTerms, node.Labels, node.Name)
	}
	return all != nil && *all
}

// tolerated says whether none of the device's taints keeps it from being used.
func (d *device) tolerated(tolerations []resourcev1.DeviceToleration) bool {
	for i := range d.spec.Taints {
		t := &d.spec.Taints[i]
		if t.Effect != resourcev1.DeviceTaintEffectNone && !slices.ContainsFunc(tolerations, func(o resourcev1.DeviceToleration) bool { return tolerates(&o, t) }) {
			return false
		}
	}
	return true
}

func tolerates(t *resourcev1.DeviceToleration, taint *resourcev1.DeviceTaint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	return t.Operator == resourcev1.DeviceTolerationOpExists || t.Value == taint.Value
}

// attribute finds an attribute by its full name.
func (d *device) attribute(name resourcev1.FullyQualifiedName) *resourcev1.DeviceAttribute {
	if a, ok := d.spec.Attributes[resourcev1.QualifiedName(name)]; ok {
		return &a
	}
	if domain, id, ok := strings.Cut(string(name), "/"); ok && domain == d.id.driver {
		if a, ok := d.spec.Attributes[resourcev1.QualifiedName(id)]; ok {
			return &a
		}
	}
	return nil
}

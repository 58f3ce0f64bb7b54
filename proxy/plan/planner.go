package plan

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/state"
)

// Planner keeps what is planned, so that a change of one Service is planned at the cost of that Service alone. It is not safe for concurrent use.
type Planner struct {
	env      Environment
	services map[types.NamespacedName]*planned
	tables   [len(Families)]table
}

// planned is one Service's part.
type planned struct {
	service *state.Service
	parts   [len(Families)]parts
}

// table is the wanted content of one family's table.
type table struct {
	// elements by set and key; more than one Service may claim the same.
	elements map[mapKey]entry
	// picks in use, and by how many destinations.
	picks map[pick]int
	fixed []Element // those of the environment
}

type mapKey struct {
	set Set
	key string
}

// entry is an element and who wants it. The first claim by name is the one that counts, so that the result does not depend on the order of events.
type entry struct {
	element Element
	owner   types.NamespacedName
	claims  int
	others  []claim // further ones, of whatever value
}

type claim struct {
	element Element
	owner   types.NamespacedName
}

// Change is the difference between two states of one table. To apply it: make chains, delete elements, add elements, delete chains.
type Change struct {
	AddChains    []Chain
	DeleteChains []string
	Add, Delete  []Element
}

// Empty says whether there is nothing to do.
func (c *Change) Empty() bool {
	return len(c.AddChains)+len(c.DeleteChains)+len(c.Add)+len(c.Delete) == 0
}

// Ruleset is the whole content of one table.
type Ruleset struct {
	Chains   []Chain
	Elements []Element
}

// New returns a Planner that wants nothing for Services yet.
func New(env Environment) *Planner {
	p := &Planner{services: map[types.NamespacedName]*planned{}}
	for i := range p.tables {
		p.tables[i] = table{elements: map[mapKey]entry{}, picks: map[pick]int{}}
	}
	p.setFixed(env)
	return p
}

// Update plans Services anew and returns what that changes in each family's table.
func (p *Planner) Update(changes []state.Change) [len(Families)]Change {
	var collected [len(Families)]collector
	for _, change := range changes {
		p.replace(change.Name, change.Service, &collected)
	}
	return p.finish(&collected)
}

// SetEnvironment plans everything anew for another environment and returns what that changes.
func (p *Planner) SetEnvironment(env Environment) [len(Families)]Change {
	var collected [len(Families)]collector
	old := p.fixedElements()
	p.setFixed(env)
	for i, list := range p.fixedElements() {
		for _, element := range old[i] {
			collected[i].was(mapKey{element.Set, element.Key}, &element)
		}
		for _, element := range list {
			collected[i].was(mapKey{element.Set, element.Key}, nil)
			collected[i].fixed = append(collected[i].fixed, element)
		}
	}
	for name, planned := range p.services {
		p.replace(name, planned.service, &collected)
	}
	return p.finish(&collected)
}

func (p *Planner) fixedElements() (lists [len(Families)][]Element) {
	for i := range p.tables {
		lists[i] = p.tables[i].fixed
	}
	return lists
}

// setFixed takes an environment with its own elements.
func (p *Planner) setFixed(env Environment) {
	p.env = env
	for _, family := range Families {
		var list []Element
		for set, prefixes := range map[Set][]netip.Prefix{PodRanges: env.PodCIDRs, ServiceRanges: env.ServiceCIDRs} {
			for _, prefix := range disjoint(prefixes, family) {
				list = append(list, Element{Set: set, Key: string(key{}.addr(prefix.Addr())), End: string(key{}.addr(last(prefix)))})
			}
		}
		for _, index := range env.Bridges {
			list = append(list, Element{Set: Bridges, Key: string(key{}.number(index).number(index))})
		}
		p.tables[family].fixed = list
	}
}

// Ruleset returns everything that a family's table is to contain.
func (p *Planner) Ruleset(family Family) Ruleset {
	t := &p.tables[family]
	rules := Ruleset{Chains: Base(p.env.Config), Elements: slices.Clone(t.fixed)}
	for pick := range t.picks {
		rules.Chains = append(rules.Chains, pick.chain(p.env.Config))
	}
	rules.Elements = slices.Grow(rules.Elements, len(t.elements))
	for _, entry := range t.elements {
		rules.Elements = append(rules.Elements, entry.element)
	}
	return rules
}

// Sticky says whether any Service has session affinity.
func (p *Planner) Sticky() bool {
	for i := range p.tables {
		for pick := range p.tables[i].picks {
			if pick.affinity > 0 {
				return true
			}
		}
	}
	return false
}

// replace plans one Service (nil: it is gone) in place of what was planned for it.
func (p *Planner) replace(name types.NamespacedName, service *state.Service, collected *[len(Families)]collector) {
	old := p.services[name]
	if old == nil {
		old = &planned{}
	}
	next := &planned{service: service}
	for _, family := range Families {
		if service != nil {
			next.parts[family] = partsOf(&p.env, service, family, old.parts[family].orders)
		}
		p.tables[family].swap(name, &old.parts[family], &next.parts[family], &collected[family])
	}
	if service == nil {
		delete(p.services, name)
		return
	}
	p.services[name] = next
}

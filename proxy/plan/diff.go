package plan

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// collector notes what elements and chains were before a series of changes; what they are afterwards is in the table.
type collector struct {
	before map[mapKey]*Element
	picks  map[pick]bool // whether it was there
	fixed  []Element
}

// was notes an element as it was, if it has not been noted before.
func (c *collector) was(at mapKey, element *Element) {
	if c.before == nil {
		c.before = map[mapKey]*Element{}
	}
	if _, noted := c.before[at]; !noted {
		c.before[at] = element
	}
}

func (c *collector) wasPick(p pick, there bool) {
	if c.picks == nil {
		c.picks = map[pick]bool{}
	}
	if _, noted := c.picks[p]; !noted {
		c.picks[p] = there
	}
}

// swap takes one Service's old claims away and adds its new ones. What is the same in both is not touched.
func (t *table) swap(owner types.NamespacedName, old, next *parts, c *collector) {
	same := map[Element]int{}
	if len(old.elements) > 0 {
		for i := range next.elements {
			same[next.elements[i]]++
		}
	}
	kept := map[Element]int{}
	for i := range old.elements {
		element := old.elements[i]
		if same[element] > kept[element] {
			kept[element]++
			continue
		}
		t.drop(element, owner, c)
	}
	for i := range next.elements {
		element := next.elements[i]
		if kept[element] > 0 {
			kept[element]--
			continue
		}
		t.claim(element, owner, c)
	}
	for _, pick := range next.picks {
		c.wasPick(pick, t.picks[pick] > 0)
		t.picks[pick]++
	}
	for _, pick := range old.picks {
		c.wasPick(pick, t.picks[pick] > 0)
		if t.picks[pick]--; t.picks[pick] == 0 {
			delete(t.picks, pick)
		}
	}
}

func before(a, b types.NamespacedName) bool {
	if c := cmp.Compare(a.Namespace, b.Namespace); c != 0 {
		return c < 0
	}
	return a.Name < b.Name
}

// claim adds a wish for an element.
func (t *table) claim(element Element, owner types.NamespacedName, c *collector) {
	at := mapKey{element.Set, element.Key}
	have, exists := t.elements[at]
	switch {
	case !exists:
		c.was(at, nil)
		t.elements[at] = entry{element: element, owner: owner, claims: 1}
		return
	case have.element == element && len(have.others) == 0 && (have.element.Value == "" && have.element.Verdict == ""):
		have.claims++ // sets without values: who claims does not matter
	case before(owner, have.owner):
		was := have.element
		c.was(at, &was)
		have.others = append(have.others, claim{have.element, have.owner})
		have.element, have.owner = element, owner
	default:
		have.others = append(have.others, claim{element, owner})
	}
	t.elements[at] = have
}

// drop takes a wish for an element away.
func (t *table) drop(element Element, owner types.NamespacedName, c *collector) {
	at := mapKey{element.Set, element.Key}
	have := t.elements[at]
	if i := slices.Index(have.others, claim{element, owner}); i >= 0 && (have.element != element || have.owner != owner) {
		have.others = slices.Delete(have.others, i, i+1)
		t.elements[at] = have
		return
	}
	was := have.element
	c.was(at, &was)
	switch {
	case have.claims > 1:
		have.claims--
	case len(have.others) > 0:
		first := 0
		for i := range have.others {
			if before(have.others[i].owner, have.others[first].owner) {
				first = i
			}
		}
		have.element, have.owner = have.others[first].element, have.others[first].owner
		have.others = slices.Delete(have.others, first, first+1)
	default:
		delete(t.elements, at)
		return
	}
	t.elements[at] = have
}

// finish compares what was with what is.
func (p *Planner) finish(collected *[len(Families)]collector) (changes [len(Families)]Change) {
	for _, family := range Families {
		t, c, change := &p.tables[family], &collected[family], &changes[family]
		fixed := map[mapKey]Element{}
		for _, element := range c.fixed {
			fixed[mapKey{element.Set, element.Key}] = element
		}
		for at, was := range c.before {
			is, exists := fixed[at]
			if entry, planned := t.elements[at]; planned {
				is, exists = entry.element, true
			}
			if was != nil && exists && *was == is {
				continue
			}
			if was != nil {
				change.Delete = append(change.Delete, *was)
			}
			if exists {
				change.Add = append(change.Add, is)
			}
		}
		for pick, was := range c.picks {
			switch is := t.picks[pick] > 0; {
			case is && !was:
				change.AddChains = append(change.AddChains, pick.chain(p.env.Config))
			case was && !is:
				change.DeleteChains = append(change.DeleteChains, pick.name())
			}
		}
	}
	return changes
}

package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/septet-io/septet/proxy/plan"
)

// perMessage is how many elements go into one netlink message: a nested attribute's length has 16 bits.
const perMessage = 400

// batch collects the operations on one family's table. The first error sticks.
type batch struct {
	conn   *nftables.Conn
	family plan.Family
	table  *nftables.Table
	sets   [plan.SetCount]*nftables.Set
	err    error
}

func newBatch(conn *nftables.Conn, family plan.Family) *batch {
	b := &batch{conn: conn, family: family, table: tableOf(family)}
	b.sets = sets(b.table, family)
	return b
}

// declare makes all sets.
func (b *batch) declare() {
	for _, set := range b.sets {
		if err := b.conn.AddSet(set, nil); err != nil && b.err == nil {
			b.err = err
		}
	}
}

// addChains makes chains, all of them before any rule: rules jump.
func (b *batch) addChains(chains []plan.Chain) {
	made := make([]*nftables.Chain, len(chains))
	for i := range chains {
		made[i] = b.conn.AddChain(b.chain(&chains[i]))
	}
	compiler := compiler{family: b.family}
	for i := range chains {
		for _, rule := range chains[i].Rules {
			b.conn.AddRule(&nftables.Rule{Table: b.table, Chain: made[i], Exprs: compiler.rule(rule)})
		}
	}
}

var hooks = [...]*nftables.ChainHook{
	plan.Prerouting: nftables.ChainHookPrerouting, plan.Input: nftables.ChainHookInput, plan.Forward: nftables.ChainHookForward,
	plan.Output: nftables.ChainHookOutput, plan.Postrouting: nftables.ChainHookPostrouting,
}

func (b *batch) chain(from *plan.Chain) *nftables.Chain {
	chain := &nftables.Chain{Name: from.Name, Table: b.table}
	if from.Hook.Point == plan.NoPoint {
		return chain
	}
	chain.Type = nftables.ChainTypeFilter
	if from.Hook.NAT {
		chain.Type = nftables.ChainTypeNAT
	}
	chain.Hooknum = hooks[from.Hook.Point]
	priority := nftables.ChainPriority(from.Hook.Priority)
	chain.Priority = &priority
	return chain
}

func (b *batch) add(elements []plan.Element) { b.each(elements, b.conn.SetAddElements) }

func (b *batch) remove(elements []plan.Element) { b.each(elements, b.conn.SetDeleteElements) }

// each sorts elements by set and passes them on in portions.
func (b *batch) each(elements []plan.Element, do func(*nftables.Set, []nftables.SetElement) error) {
	var counts [plan.SetCount]int
	for i := range elements {
		counts[elements[i].Set]++
	}
	var portions [plan.SetCount][]nftables.SetElement
	send := func(set plan.Set) {
		if err := do(b.sets[set], portions[set]); err != nil && b.err == nil {
			b.err = err
		}
		portions[set] = portions[set][:0]
	}
	for i := range elements {
		set := elements[i].Set
		if portions[set] == nil {
			portions[set] = make([]nftables.SetElement, 0, min(counts[set], perMessage)+1)
		}
		portions[set] = b.element(portions[set], &elements[i])
		if len(portions[set]) >= perMessage {
			send(set)
		}
	}
	for set := range portions {
		if len(portions[set]) > 0 {
			send(plan.Set(set))
		}
	}
}

// element translates one. Ranges of a single field are two elements, the second the first key beyond; of several fields, one with both ends.
func (b *batch) element(to []nftables.SetElement, from *plan.Element) []nftables.SetElement {
	element := nftables.SetElement{Key: []byte(from.Key)}
	set := b.sets[from.Set]
	switch {
	case from.Verdict != "":
		element.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: from.Verdict}
	case from.Value != "":
		element.Val = []byte(from.Value)
	case from.End != "" && set.Concatenation:
		element.KeyEnd = []byte(from.End)
	case from.End != "":
		to = append(to, element)
		if beyond := next(from.End); beyond != nil {
			to = append(to, nftables.SetElement{Key: beyond, IntervalEnd: true})
		}
		return to
	}
	return append(to, element)
}

// next is the key after key; nil after the last.
func next(key string) []byte {
	bytes := []byte(key)
	for i := len(bytes) - 1; i >= 0; i-- {
		if bytes[i]++; bytes[i] != 0 {
			return bytes
		}
	}
	return nil
}

package plan

import (
	"fmt"
	"time"
)

// Names of the chains that are always there.
const (
	chainServices = "services"
	chainCheck    = "check"
	chainFirewall = "firewall"
	chainReject   = "reject"
	chainDrop     = "drop"
)

// Priorities of hooks, as <linux/netfilter_ipv4.h> has them; beforeDNAT sees the addresses that clients use.
const (
	priorityFilter = 0
	priorityDNAT   = -100
	beforeDNAT     = -110
	prioritySNAT   = 100
)

// Base returns the chains that do not depend on any Service, in the order to make them: those that are jumped to first.
func Base(config Config) []Chain {
	filter := func(point Point, name string) Chain {
		return Chain{Name: name, Hook: Hook{Point: point, Priority: priorityFilter}, Rules: []Rule{{Op: JumpNew, Chain: chainCheck}}}
	}
	wall := func(point Point, name string) Chain {
		return Chain{Name: name, Hook: Hook{Point: point, Priority: beforeDNAT}, Rules: []Rule{{Op: JumpNew, Chain: chainFirewall}}}
	}
	nat := func(point Point, name string) Chain {
		return Chain{Name: name, Hook: Hook{NAT: true, Point: point, Priority: priorityDNAT}, Rules: []Rule{{Op: Jump, Chain: chainServices}}}
	}
	inside := Rule{Op: DispatchLocal, Set: ServicesInside}
	fromPods := []Rule{}
	if config.Inside.Known() {
		fromPods = []Rule{{Op: DispatchInside, Set: ServicesInside, Inside: config.Inside}}
	}
	return []Chain{
		{Name: chainReject, Rules: []Rule{{Op: Reset}, {Op: Reject}}},
		{Name: chainDrop, Rules: []Rule{{Op: Drop}}},
		{Name: chainServices, Rules: append(append(fromPods, inside), Rule{Op: Dispatch, Set: Services})},
		{Name: chainCheck, Rules: []Rule{{Op: Dispatch, Set: NoEndpoints}, {Op: GotoSet, Set: ClusterIPs, Chain: chainReject}, {Op: DropRange, Set: ServiceRanges}}},
		{Name: chainFirewall, Rules: []Rule{{Op: DropStrangers, Set: Firewalled}}},
		nat(Prerouting, "nat-prerouting"), nat(Output, "nat-output"),
		{Name: "nat-postrouting", Hook: Hook{NAT: true, Point: Postrouting, Priority: prioritySNAT}, Rules: []Rule{
			{Op: MasqueradeMarked, Mark: config.MasqueradeMark}, {Op: MasqueradeHairpin, Set: Hairpin}, {Op: MasqueradeBridged, Set: Bridges},
		}},
		wall(Prerouting, "firewall-prerouting"), wall(Output, "firewall-output"),
		filter(Input, "filter-input"), filter(Forward, "filter-forward"), filter(Output, "filter-output"),
	}
}

// masquerade says whose sender is hidden.
type masquerade uint8

const (
	never masquerade = iota
	always
	outside // of packets that do not come from Pods
)

// pick says how a destination's packets are spread. Equal picks share a chain.
type pick struct {
	count    uint32
	hide     masquerade
	affinity time.Duration
	inside   bool // the group is found in IDsInside
}

// name is the chain's.
func (p pick) name() string {
	name := fmt.Sprintf("pick-%d", p.count)
	if p.affinity > 0 {
		name += fmt.Sprintf("-sticky-%d", int64(p.affinity/time.Second))
	}
	name += [...]string{"", "-masq", "-outside"}[p.hide]
	if p.inside {
		name += "-inside"
	}
	return name
}

// chain is what a pick's chain does.
func (p pick) chain(config Config) Chain {
	chain := Chain{Name: p.name()}
	ids := IDs
	if p.inside {
		ids = IDsInside
	}
	switch p.hide {
	case always:
		chain.Rules = append(chain.Rules, Rule{Op: Mark, Mark: config.MasqueradeMark})
	case outside:
		chain.Rules = append(chain.Rules, Rule{Op: MarkOutside, Mark: config.MasqueradeMark, Inside: config.Inside})
	}
	choose := Rule{Op: Pick, Set: ids}
	if p.affinity > 0 {
		chain.Rules = append(chain.Rules, Rule{Op: Resume, Set: ids, Timeout: p.affinity})
		choose = Rule{Op: PickSticky, Set: ids, Timeout: p.affinity}
	}
	// A packet may be on its way here while endpoints go, and draw the number of one that has just gone. The first one is always there.
	for _, count := range []uint32{p.count, 1} {
		choose.Count = count
		if len(chain.Rules) == 0 || chain.Rules[len(chain.Rules)-1] != choose {
			chain.Rules = append(chain.Rules, choose)
		}
	}
	return chain
}

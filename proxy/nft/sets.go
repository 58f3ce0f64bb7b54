package nft

import (
	"time"

	"github.com/google/nftables"

	"github.com/septet-io/septet/proxy/plan"
)

// affinitySize bounds the clients that are remembered; defaultAffinity is how long where a rule says nothing else.
const (
	affinitySize    = 1 << 20
	defaultAffinity = 3 * time.Hour
)

// sets returns the named sets of a family's table. The kernel cares for lengths only; the types are for people who list the table.
func sets(table *nftables.Table, family plan.Family) [plan.SetCount]*nftables.Set {
	addr := nftables.TypeIPAddr
	if family == plan.IPv6 {
		addr = nftables.TypeIP6Addr
	}
	half, number := nftables.TypeMark, nftables.TypeMark // an ID is two halves
	index := nftables.TypeIFIndex
	port := nftables.TypeInetService
	all := nftables.MustConcatSetType
	destination := all(addr, nftables.TypeInetProto, port)
	id := all(half, half)

	verdicts := func() *nftables.Set {
		return &nftables.Set{IsMap: true, KeyType: destination, DataType: nftables.TypeVerdict}
	}
	ids := func() *nftables.Set { return &nftables.Set{IsMap: true, KeyType: destination, DataType: id} }
	ranges := func() *nftables.Set { return &nftables.Set{KeyType: addr, Interval: true} }
	list := [plan.SetCount]*nftables.Set{
		plan.Services:       verdicts(),
		plan.ServicesInside: verdicts(),
		plan.IDs:            ids(),
		plan.IDsInside:      ids(),
		plan.Endpoints:      {IsMap: true, KeyType: all(half, half, number), DataType: all(addr, port)},
		plan.Live:           {KeyType: all(half, half, addr, port)},
		plan.Affinity: {
			IsMap: true, KeyType: all(half, half, addr), DataType: all(half, half, addr, port),
			Dynamic: true, HasTimeout: true, Timeout: defaultAffinity, Size: affinitySize,
		},
		plan.NoEndpoints:   verdicts(),
		plan.ClusterIPs:    {KeyType: addr},
		plan.ServiceRanges: ranges(),
		plan.Firewalled:    ids(),
		plan.Allowed:       {KeyType: all(half, half, addr), Interval: true, Concatenation: true},
		plan.PodRanges:     ranges(),
		plan.Hairpin:       {KeyType: all(addr, addr)},
		plan.Bridges:       {KeyType: all(index, index)},
	}
	for i, set := range list {
		set.Name, set.Table = plan.Set(i).String(), table
	}
	return list
}

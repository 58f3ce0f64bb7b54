package plan

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// String writes a rule much as nft(8) would.
func (r Rule) String() string {
	const dest = "ip daddr . meta l4proto . th dport"
	inside := ""
	switch {
	case r.Inside.CIDR:
		inside = "ip saddr @" + PodRanges.String()
	case r.Inside.Bridge != "":
		inside = "iifname " + r.Inside.Bridge
	case r.Inside.Prefix != "":
		inside = "iifname " + r.Inside.Prefix + "*"
	}
	id := dest + " map @" + r.Set.String()
	switch r.Op {
	case JumpNew:
		return "ct state new jump " + r.Chain
	case Jump:
		return "jump " + r.Chain
	case DispatchInside:
		return inside + " " + dest + " vmap @" + r.Set.String()
	case DispatchLocal:
		return "fib saddr type local " + dest + " vmap @" + r.Set.String()
	case Dispatch:
		return dest + " vmap @" + r.Set.String()
	case Mark:
		return fmt.Sprintf("meta mark set mark or %#x", r.Mark)
	case MarkOutside:
		return fmt.Sprintf("not (%s) meta mark set mark or %#x", inside, r.Mark)
	case Resume:
		return fmt.Sprintf("dnat to the endpoint of (%s) . ip saddr in @%s if in @%s, for %s more", id, Affinity, Live, r.Timeout)
	case PickSticky:
		return fmt.Sprintf("dnat to (%s) . numgen random mod %d map @%s, in @%s for %s", id, r.Count, Endpoints, Affinity, r.Timeout)
	case Pick:
		return fmt.Sprintf("dnat to (%s) . numgen random mod %d map @%s", id, r.Count, Endpoints)
	case GotoSet:
		return "ip daddr @" + r.Set.String() + " goto " + r.Chain
	case DropRange:
		return "ip daddr @" + r.Set.String() + " drop"
	case DropStrangers:
		return fmt.Sprintf("(%s) . ip saddr not in @%s drop", id, Allowed)
	case Reset:
		return "meta l4proto tcp reject with tcp reset"
	case Reject:
		return "reject"
	case Drop:
		return "drop"
	case MasqueradeMarked:
		return fmt.Sprintf("meta mark and %#x meta mark set mark xor %#x masquerade", r.Mark, r.Mark)
	case MasqueradeHairpin:
		return "ct status dnat ip saddr . ip daddr @" + r.Set.String() + " masquerade"
	case MasqueradeBridged:
		return "ct status dnat iif . oif @" + r.Set.String() + " masquerade"
	}
	return fmt.Sprintf("op %d", r.Op)
}

// Text writes an element with its fields decoded.
func (e Element) Text(family Family) string {
	d := decoder{family: family}
	text := e.Set.String() + " " + d.fields(e.Key, layouts[e.Set].key)
	if e.End != "" {
		text += " - " + d.fields(e.End, layouts[e.Set].key)
	}
	if e.Verdict != "" {
		text += " : goto " + e.Verdict
	}
	if e.Value != "" {
		text += " : " + d.fields(e.Value, layouts[e.Set].value)
	}
	return text
}

// layouts are the fields of each set's keys and values: a(ddress), p(rotocol), n (port), i(d), # a number.
var layouts = [SetCount]struct{ key, value string }{
	Services: {"apn", ""}, ServicesInside: {"apn", ""}, IDs: {"apn", "i"}, IDsInside: {"apn", "i"},
	Endpoints: {"i#", "an"}, Live: {"ian", ""}, Affinity: {"ia", "ian"}, NoEndpoints: {"apn", ""},
	ClusterIPs: {"a", ""}, ServiceRanges: {"a", ""}, Firewalled: {"apn", "i"}, Allowed: {"ia", ""},
	PodRanges: {"a", ""}, Hairpin: {"aa", ""}, Bridges: {"##", ""},
}

type decoder struct{ family Family }

func (d decoder) fields(data, layout string) string {
	var words []string
	for _, field := range layout {
		size := 4
		switch {
		case field == 'i':
			size = len(ID{})
		case field == 'a' && d.family == IPv6:
			size = 16
		}
		if len(data) < size {
			return strings.Join(words, " . ") + " . (short)"
		}
		words = append(words, d.field(field, data[:size]))
		data = data[size:]
	}
	return strings.Join(words, " . ")
}

func (d decoder) field(kind rune, data string) string {
	switch kind {
	case 'a':
		addr, _ := netip.AddrFromSlice([]byte(data))
		return addr.String()
	case 'p':
		return map[byte]string{6: "tcp", 17: "udp", 132: "sctp"}[data[0]]
	case 'n':
		return fmt.Sprint(binary.BigEndian.Uint16([]byte(data)))
	case '#':
		return fmt.Sprint(binary.NativeEndian.Uint32([]byte(data)))
	}
	return hex.EncodeToString([]byte(data))
}

// Text writes a whole table, in an order of its own: for people and for tests.
func (r Ruleset) Text(family Family) string {
	var b strings.Builder
	chains := slices.Clone(r.Chains)
	slices.SortStableFunc(chains, func(a, b Chain) int { return strings.Compare(a.Name, b.Name) })
	for _, chain := range chains {
		fmt.Fprintf(&b, "chain %s", chain.Name)
		if chain.Hook.Point != NoPoint {
			kind := "filter"
			if chain.Hook.NAT {
				kind = "nat"
			}
			fmt.Fprintf(&b, " (%s at %s, priority %d)", kind, points[chain.Hook.Point], chain.Hook.Priority)
		}
		b.WriteByte('\n')
		for _, rule := range chain.Rules {
			fmt.Fprintf(&b, "\t%s\n", rule)
		}
	}
	b.WriteString(elementsText(r.Elements, family))
	return b.String()
}

var points = [...]string{"nowhere", "prerouting", "input", "forward", "output", "postrouting"}

func elementsText(elements []Element, family Family) string {
	lines := make([]string, 0, len(elements))
	for _, element := range elements {
		lines = append(lines, element.Text(family)+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Text writes a change.
func (c Change) Text(family Family) string {
	var b strings.Builder
	for _, chain := range c.AddChains {
		fmt.Fprintf(&b, "+ chain %s\n", chain.Name)
	}
	for _, name := range c.DeleteChains {
		fmt.Fprintf(&b, "- chain %s\n", name)
	}
	for _, line := range strings.SplitAfter(elementsText(c.Delete, family), "\n") {
		if line != "" {
			b.WriteString("- " + line)
		}
	}
	for _, line := range strings.SplitAfter(elementsText(c.Add, family), "\n") {
		if line != "" {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}

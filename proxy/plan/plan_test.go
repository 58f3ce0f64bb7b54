package plan

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/state"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -wanted +got\n%s", path, diff)
	}
}

func addrs(list ...string) []netip.Addr {
	var found []netip.Addr
	for _, text := range list {
		found = append(found, netip.MustParseAddr(text))
	}
	return found
}

func prefixes(list ...string) []netip.Prefix {
	var found []netip.Prefix
	for _, text := range list {
		found = append(found, netip.MustParsePrefix(text))
	}
	return found
}

func environment() Environment {
	return Environment{
		Config: Config{Node: "here", MasqueradeMark: 1 << 14, Inside: Inside{CIDR: true}}, Zone: "a",
		NodePortIPs: addrs("192.0.2.1", "2001:db8::1"), PodCIDRs: prefixes("10.0.0.0/8", "fd00::/48"), ServiceCIDRs: prefixes("10.96.0.0/16", "10.96.4.0/24"),
		Bridges: []uint32{7},
	}
}

// endpoint is ready on another node, unless words say otherwise: here, ending, gone (not ready), zone-X, node-X.
func endpoint(addr string, words ...string) state.Endpoint {
	e := state.Endpoint{Addr: netip.MustParseAddrPort(addr), Ready: true, Serving: true}
	for _, word := range words {
		switch {
		case word == "here":
			e.Local = true
		case word == "ending":
			e.Ready, e.Terminating = false, true
		case word == "gone":
			e.Ready, e.Serving = false, false
		case strings.HasPrefix(word, "zone-"):
			e.Zones = append(e.Zones, word[5:])
		case strings.HasPrefix(word, "node-"):
			e.Nodes = append(e.Nodes, word[5:])
		}
	}
	return e
}

func service(name string, endpoints ...state.Endpoint) *state.Service {
	return &state.Service{
		Name: types.NamespacedName{Namespace: "ns", Name: name}, ClusterIPs: addrs("10.96.0.1"),
		Ports: []state.Port{{Name: "p", Protocol: state.TCP, Port: 80, Endpoints: endpoints}},
	}
}

func change(s *state.Service) []state.Change { return []state.Change{{Name: s.Name, Service: s}} }

// elementsOf are what one Service needs.
func elementsOf(env Environment, s *state.Service, family Family) string {
	p := New(env)
	p.Update(change(s))
	rules := p.Ruleset(family)
	var b strings.Builder
	base := map[string]bool{}
	for _, chain := range Base(env.Config) {
		base[chain.Name] = true
	}
	for _, chain := range rules.Chains {
		if !base[chain.Name] {
			fmt.Fprintf(&b, "chain %s\n", chain.Name)
			for _, rule := range chain.Rules {
				fmt.Fprintf(&b, "\t%s\n", rule)
			}
		}
	}
	lines := strings.Split(b.String(), "chain ")
	slices.Sort(lines)
	text := strings.Join(lines, "chain ")
	var own []Element
	for _, element := range rules.Elements {
		if !slices.Contains(p.tables[family].fixed, element) {
			own = append(own, element)
		}
	}
	return text + elementsText(own, family)
}

func TestBase(t *testing.T) {
	t.Parallel()
	for _, family := range Families {
		golden(t, "base-"+family.String(), New(environment()).Ruleset(family).Text(family))
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	two := []state.Endpoint{endpoint("10.0.1.1:8080", "here"), endpoint("10.0.2.1:8080")}
	for name, change := range map[string]func(*state.Service){
		"cluster-ip":     func(*state.Service) {},
		"node-port":      func(s *state.Service) { s.Ports[0].NodePort = 30080 },
		"external-ip":    func(s *state.Service) { s.ExternalIPs = addrs("203.0.113.1", "2001:db8::9") },
		"affinity":       func(s *state.Service) { s.Affinity = 3 * time.Hour },
		"internal-local": func(s *state.Service) { s.InternalLocal = true },
		"external-local": func(s *state.Service) { s.ExternalLocal, s.Ports[0].NodePort = true, 30080 },
		"external-local-elsewhere": func(s *state.Service) {
			s.ExternalLocal, s.Ports[0].NodePort, s.Ports[0].Endpoints[0].Local = true, 30080, false
		},
		"balancer-with-ranges": func(s *state.Service) {
			s.LoadBalancerIPs, s.SourceRanges = addrs("203.0.113.1"), prefixes("198.51.100.0/24", "198.51.100.7/32", "2001:db8::/32")
		},
		"nobody":       func(s *state.Service) { s.Ports[0].Endpoints, s.Ports[0].NodePort = nil, 30080 },
		"nobody-ready": func(s *state.Service) { s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "gone")} },
		"all-ending": func(s *state.Service) {
			s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "gone"), endpoint("10.0.2.1:8080", "ending")}
		},
		"own-zone": func(s *state.Service) {
			s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "zone-a"), endpoint("10.0.2.1:8080", "zone-b")}
		},
		"no-endpoint-in-zone": func(s *state.Service) {
			s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "zone-c"), endpoint("10.0.2.1:8080", "zone-b")}
		},
		"hints-incomplete": func(s *state.Service) {
			s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "zone-a"), endpoint("10.0.2.1:8080")}
		},
		"own-node": func(s *state.Service) {
			s.Ports[0].Endpoints = []state.Endpoint{endpoint("10.0.1.1:8080", "zone-a", "node-here"), endpoint("10.0.2.1:8080", "zone-a", "node-there")}
		},
	} {
		s := service("web", slices.Clone(two)...)
		change(s)
		golden(t, name, elementsOf(environment(), s, IPv4))
	}
	dual := service("web", append(two, endpoint("[fd00::1]:8080", "here"))...)
	dual.ClusterIPs, dual.Affinity = addrs("10.96.0.1", "fd96::1"), time.Minute
	golden(t, "dual-stack-ip6", elementsOf(environment(), dual, IPv6))
	hidden := environment()
	hidden.MasqueradeAll = true
	golden(t, "masquerade-all", elementsOf(hidden, service("web", two...), IPv4))
}

// One endpoint replaced is one element; one more is a few, however many there are.
func TestChangesAreSmall(t *testing.T) {
	t.Parallel()
	many := make([]state.Endpoint, 100)
	for i := range many {
		many[i] = endpoint(fmt.Sprintf("10.0.0.%d:80", i))
	}
	p := New(environment())
	p.Update(change(service("web", many...)))
	replaced := slices.Clone(many)
	replaced[0] = endpoint("10.0.1.0:80")
	got := p.Update(change(service("web", replaced...)))[IPv4].Text(IPv4)
	got += "then one fewer\n" + p.Update(change(service("web", replaced[1:]...)))[IPv4].Text(IPv4)
	got += "then nothing new\n" + p.Update(change(service("web", replaced[1:]...)))[IPv4].Text(IPv4)
	got += "then gone\n"
	if gone := p.Update([]state.Change{{Name: service("web").Name}})[IPv4]; len(gone.Delete) != 102 || len(gone.Add) != 0 {
		t.Errorf("deleting it deletes %d and adds %d", len(gone.Delete), len(gone.Add))
	}
	golden(t, "small-changes", got)
}

// Two Services that claim one address: the first by name has it, whatever the order of events.
func TestConflicts(t *testing.T) {
	t.Parallel()
	a, b := service("a", endpoint("10.0.0.1:80")), service("b", endpoint("10.0.0.2:80"))
	a.ClusterIPs, b.ClusterIPs = addrs("10.96.0.1"), addrs("10.96.0.2")
	a.ExternalIPs, b.ExternalIPs = addrs("203.0.113.1"), addrs("203.0.113.1")
	var texts []string
	for _, order := range [][]*state.Service{{a, b}, {b, a}} {
		p := New(environment())
		for _, s := range order {
			p.Update(change(s))
		}
		texts = append(texts, p.Ruleset(IPv4).Text(IPv4))
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Errorf("the order of events matters:\n%s", diff)
	}
	p := New(environment())
	p.Update(change(a))
	p.Update(change(b))
	got := p.Update([]state.Change{{Name: a.Name}})[IPv4].Text(IPv4)
	golden(t, "conflict-ends", got)
}

// table applies changes as the kernel does, and complains where it would.
type fakeTable struct {
	chains   map[string]bool
	elements map[mapKey]Element
}

func (f *fakeTable) apply(c Change) error {
	for _, chain := range c.AddChains {
		if f.chains[chain.Name] {
			return fmt.Errorf("chain %s is there already", chain.Name)
		}
		f.chains[chain.Name] = true
	}
	for _, element := range c.Delete {
		at := mapKey{element.Set, element.Key}
		if f.elements[at] != element {
			return fmt.Errorf("%v is not there to delete", element)
		}
		delete(f.elements, at)
	}
	for _, element := range c.Add {
		at := mapKey{element.Set, element.Key}
		if _, there := f.elements[at]; there {
			return fmt.Errorf("%v is there already", element)
		}
		if element.Verdict != "" && !f.chains[element.Verdict] && element.Verdict != chainReject && element.Verdict != chainDrop {
			return fmt.Errorf("%v leads to no chain", element)
		}
		f.elements[at] = element
	}
	for _, name := range c.DeleteChains {
		for _, element := range f.elements {
			if element.Verdict == name {
				return fmt.Errorf("chain %s is still in use", name)
			}
		}
		delete(f.chains, name)
	}
	return nil
}

// Whatever happens in whatever order, the small changes add up to what would be planned from nothing.
func TestChangesAddUp(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		env := environment()
		p := New(env)
		tables := [len(Families)]fakeTable{}
		for i := range tables {
			tables[i] = fakeTable{chains: map[string]bool{}, elements: map[mapKey]Element{}}
			for _, element := range p.tables[i].fixed {
				tables[i].elements[mapKey{element.Set, element.Key}] = element
			}
		}
		now := map[string]*state.Service{}
		for step := range 150 {
			var changes [len(Families)]Change
			if random.IntN(20) == 0 {
				env.Zone = []string{"a", "b"}[random.IntN(2)]
				env.NodePortIPs = env.NodePortIPs[:0:0]
				for range random.IntN(3) {
					env.NodePortIPs = append(env.NodePortIPs, netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(3))}))
				}
				slices.SortFunc(env.NodePortIPs, netip.Addr.Compare)
				env.NodePortIPs = slices.Compact(env.NodePortIPs)
				changes = p.SetEnvironment(env)
			} else {
				name := fmt.Sprint("s", random.IntN(8))
				s := randomService(random, name)
				if now[name] = s; s == nil {
					delete(now, name)
				}
				changes = p.Update([]state.Change{{Name: types.NamespacedName{Namespace: "ns", Name: name}, Service: s}})
			}
			for i := range tables {
				if err := tables[i].apply(changes[i]); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
			}
		}
		fresh := New(env)
		for _, s := range now {
			fresh.Update(change(s))
		}
		for _, family := range Families {
			compare(t, seed, family, &tables[family], fresh.Ruleset(family), p.Ruleset(family))
		}
	}
}

// compare looks at everything but the numbering of endpoints, which depends on the past.
func compare(t *testing.T, seed uint64, family Family, have *fakeTable, fresh, planned Ruleset) {
	t.Helper()
	var kernel []Element
	for _, element := range have.elements {
		kernel = append(kernel, element)
	}
	if diff := cmp.Diff(elementsText(planned.Elements, family), elementsText(kernel, family)); diff != "" {
		t.Fatalf("seed %d: kernel differs from plan\n%s", seed, diff)
	}
	numberless := func(elements []Element) string {
		list := slices.Clone(elements)
		for i := range list {
			if list[i].Set == Endpoints {
				list[i].Key = list[i].Key[:len(ID{})] + "\x00\x00\x00\x00"
			}
		}
		return elementsText(list, family)
	}
	if diff := cmp.Diff(numberless(fresh.Elements), numberless(planned.Elements)); diff != "" {
		t.Fatalf("seed %d: the past matters\n%s", seed, diff)
	}
}

func randomService(random *rand.Rand, name string) *state.Service {
	if random.IntN(5) == 0 {
		return nil
	}
	s := service(name)
	s.ClusterIPs = addrs("10.96.0." + name[1:])
	maybe := func() bool { return random.IntN(3) == 0 }
	if maybe() {
		s.ClusterIPs = append(s.ClusterIPs, netip.MustParseAddr("fd96::"+name[1:]))
	}
	if maybe() {
		s.ExternalIPs = addrs("203.0.113.1")
	}
	if maybe() {
		s.LoadBalancerIPs = addrs("203.0.113.2")
		s.SourceRanges = prefixes("198.51.100.0/24", "198.51.100.7/32")
	}
	s.InternalLocal, s.ExternalLocal = maybe(), maybe()
	if maybe() {
		s.Affinity = time.Duration(1+random.IntN(2)) * time.Hour
	}
	if maybe() {
		s.Ports[0].NodePort = 30000 + uint16(random.IntN(2))
	}
	for i := range 6 {
		if maybe() {
			continue
		}
		words := []string{[]string{"", "gone", "ending"}[random.IntN(3)], []string{"", "here"}[random.IntN(2)], []string{"zone-a", "zone-b"}[random.IntN(2)]}
		s.Ports[0].Endpoints = append(s.Ports[0].Endpoints, endpoint(fmt.Sprintf("10.0.0.%d:80", i), words...), endpoint(fmt.Sprintf("[fd00::%d]:80", i+1), words...))
	}
	return s
}

func BenchmarkUpdate(b *testing.B) {
	p := New(environment())
	five := []state.Endpoint{endpoint("10.0.0.1:80"), endpoint("10.0.0.2:80"), endpoint("10.0.0.3:80"), endpoint("10.0.0.4:80"), endpoint("10.0.0.5:80")}
	other := slices.Clone(five)
	other[4] = endpoint("10.0.0.6:80")
	turn := [2]*state.Service{service("web", five...), service("web", other...)}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Update([]state.Change{{Name: turn[0].Name, Service: turn[i%2]}})
		i++
	}
}

package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/proxy/lab"
	"github.com/septet-io/septet/proxy/plan"
	"github.com/septet-io/septet/proxy/state"
)

// crowd is n Services of 5 endpoints each.
func crowd(n int) []state.Change {
	changes := make([]state.Change, n)
	for i := range changes {
		name := types.NamespacedName{Namespace: "ns", Name: fmt.Sprintf("service-%d", i)}
		service := &state.Service{
			Name: name, ClusterIPs: []netip.Addr{address(10, 96, i)},
			Ports: []state.Port{{Protocol: state.TCP, Port: 80}},
		}
		for e := range 5 {
			service.Ports[0].Endpoints = append(service.Ports[0].Endpoints, state.Endpoint{
				Addr: netip.AddrPortFrom(address(10, 128, i*5+e), 8080), Ready: true, Serving: true,
			})
		}
		changes[i] = state.Change{Name: name, Service: service}
	}
	return changes
}

// address is the n-th below a.b.
func address(a, b byte, n int) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], uint32(a)<<24|uint32(b)<<16+uint32(n))
	return netip.AddrFrom4(bytes)
}

// kernel of a namespace of its own.
func kernel(t testing.TB) *Kernel {
	t.Helper()
	var k *Kernel
	lab.NewSpace(t).Do(func() {
		var err error
		if k, err = Open(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { k.Close() })
	return k
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k, changes := kernel(b), crowd(n)
			for b.Loop() {
				planner := plan.New(plan.Environment{})
				planner.Update(changes)
				if err := k.Replace(map[plan.Family]plan.Ruleset{plan.IPv4: planner.Ruleset(plan.IPv4)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChange replaces one endpoint of one of many Services.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k, changes := kernel(b), crowd(n)
			planner := plan.New(plan.Environment{})
			planner.Update(changes)
			if err := k.Replace(map[plan.Family]plan.Ruleset{plan.IPv4: planner.Ruleset(plan.IPv4)}); err != nil {
				b.Fatal(err)
			}
			other := *changes[0].Service
			other.Ports = []state.Port{other.Ports[0]}
			other.Ports[0].Endpoints = append([]state.Endpoint{{Addr: netip.MustParseAddrPort("10.99.0.1:8080"), Ready: true}}, other.Ports[0].Endpoints[1:]...)
			turn := [2]*state.Service{&other, changes[0].Service}
			i := 0
			for b.Loop() {
				change := planner.Update([]state.Change{{Name: other.Name, Service: turn[i%2]}})
				if err := k.Apply(change); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

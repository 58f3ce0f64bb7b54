package nodeipam

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

func node(name string, ranges ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: ranges}}
	if len(ranges) > 0 {
		n.Spec.PodCIDR = ranges[0]
	}
	return n
}

func of(cluster string, bits int) Range { return Range{netip.MustParsePrefix(cluster), bits} }

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		ranges []Range
		avoid  []string
		taken  []*corev1.Node
		want   []string // empty: there is nothing left
	}{
		{"the first", []Range{of("10.244.0.0/16", 24)}, nil, nil, []string{"10.244.0.0/24"}},
		{"the lowest that is free", []Range{of("10.244.0.0/16", 24)}, nil, []*corev1.Node{node("a", "10.244.0.0/24"), node("c", "10.244.2.0/24")}, []string{"10.244.1.0/24"}},
		{"one a family", []Range{of("10.244.0.0/16", 24), of("fd00:1::/48", 64)}, nil, []*corev1.Node{node("a", "10.244.0.0/24")}, []string{"10.244.1.0/24", "fd00:1::/64"}},
		{"the Services' are left out", []Range{of("10.0.0.0/8", 16)}, []string{"10.0.0.0/12"}, nil, []string{"10.16.0.0/16"}},
		{"sizes within a byte", []Range{of("10.244.0.0/24", 26)}, nil, []*corev1.Node{node("a", "10.244.0.0/26")}, []string{"10.244.0.64/26"}},
		{"a carry", []Range{of("10.244.254.0/23", 25)}, nil, []*corev1.Node{node("a", "10.244.254.0/25"), node("b", "10.244.254.128/25")}, []string{"10.244.255.0/25"}},
		{"the whole", []Range{of("10.244.0.0/24", 24)}, nil, nil, []string{"10.244.0.0/24"}},
		{"none left", []Range{of("10.244.0.0/24", 24)}, nil, []*corev1.Node{node("a", "10.244.0.0/24")}, nil},
		{"none left at the end of all addresses", []Range{of("255.255.255.0/24", 24)}, nil, []*corev1.Node{node("a", "255.255.255.0/24")}, nil},
	} {
		c := &controller{ranges: test.ranges, taken: map[netip.Prefix]string{}}
		for _, text := range test.avoid {
			c.avoid = append(c.avoid, netip.MustParsePrefix(text))
		}
		for _, n := range test.taken {
			c.remember(n)
		}
		got, err := c.choose("new")
		if !slices.Equal(got, test.want) || (err == nil) != (len(test.want) > 0) {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

func TestRangesThatCannotBeCut(t *testing.T) {
	t.Parallel()
	w := controltest.New(t)
	for _, r := range []Range{of("10.244.0.0/16", 12), of("10.244.0.0/16", 33)} {
		if _, err := New(w.Set, w.Events, []Range{r}, nil); err == nil {
			t.Errorf("/%d of %s is taken for possible", r.NodeBits, r.Cluster)
		}
	}
}

// Each node gets a range of its own; one that leaves gives its range to the next.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := controltest.New(t, node("old", "10.244.1.0/24"), node("a"), node("b"))
	w.Run(w.Must(New(w.Set, w.Events, []Range{of("10.244.0.0/22", 24)}, nil)))
	used := func(want ...string) {
		t.Helper()
		w.Eventually(func() string {
			nodes, err := w.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err.Error()
			}
			var got []string
			for i := range nodes.Items {
				if spec := nodes.Items[i].Spec; spec.PodCIDR != "" && slices.Equal(spec.PodCIDRs, []string{spec.PodCIDR}) {
					got = append(got, spec.PodCIDR)
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Sprint(got)
			}
			return ""
		})
	}
	create := func(name string) {
		t.Helper()
		if _, err := w.CoreV1().Nodes().Create(ctx, node(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	used("10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24")
	create("c")
	used("10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24")
	create("d")
	w.Told("Normal CIDRNotAvailable Node d status is now: CIDRNotAvailable")
	if err := w.CoreV1().Nodes().Delete(ctx, "old", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	used("10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24") // the last is d's
}

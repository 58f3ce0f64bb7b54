package decide

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/plugins"
	"github.com/septet-io/septet/scheduler/profile"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// defaultProfile is the one of upstream's defaults, with all nodes rated, so that there is one answer.
func defaultProfile(t testing.TB) *profile.Profile { return profileRating(t, 100) }

// profileRating is the default profile, rating a percentage of the nodes; 0: as many as the scheduler thinks enough.
func profileRating(t testing.TB, percentage int32) *profile.Profile {
	c := config.Default()
	c.PercentageOfNodesToScore = ptr.To(percentage)
	profiles, err := profile.Build(c, plugins.All(), &plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return profiles[config.DefaultName]
}

// acceptAll is a per-pod filter with nothing to say, which makes decisions go row by row instead of by table.
type acceptAll struct{}

func (acceptAll) Name() string                               { return "AcceptAll" }
func (acceptAll) Filter(*plugin.Cycle, int32) *plugin.Status { return nil }

// scanningProfile is the default one decided row by row.
func scanningProfile(t testing.TB) *profile.Profile {
	p := *defaultProfile(t)
	p.Name = "scanning"
	p.Filters = append(p.Filters[:len(p.Filters):len(p.Filters)], profile.Filter{Name: "AcceptAll", PerPod: acceptAll{}})
	return &p
}

// generator makes random clusters in which rules meet: few labels, few values, so that they often match.
type generator struct {
	*rand.Rand
	serial int
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pickOf[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) node() *corev1.Node {
	g.serial++
	name := fmt.Sprintf("n%d", g.serial)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if g.chance(95) {
		n.Labels[corev1.LabelHostname] = name
	}
	if g.chance(85) {
		n.Labels[corev1.LabelTopologyZone] = pickOf(g, "z1", "z2", "z3")
	}
	if g.chance(60) {
		n.Labels["rack"] = strconv.Itoa(g.IntN(5))
	}
	if g.chance(50) {
		n.Labels["size"] = strconv.Itoa(g.IntN(10))
	}
	for range g.IntN(3) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: pickOf(g, "a", "b"), Value: pickOf(g, "1", "2"),
			Effect: pickOf(g, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)})
	}
	n.Spec.Unschedulable = g.chance(5)
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(g.IntN(9))*1000, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(1+g.IntN(8))<<30, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(2+g.IntN(10)), resource.DecimalSI),
	}
	if g.chance(30) {
		n.Status.Allocatable["example.com/gpu"] = *resource.NewQuantity(int64(g.IntN(4)), resource.DecimalSI)
	}
	for i := range g.IntN(3) {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("image:%d", i)}, SizeBytes: int64(1+i*400) << 20})
	}
	return n
}

func (g *generator) pod() *corev1.Pod {
	g.serial++
	name := fmt.Sprintf("p%d", g.serial)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: pickOf(g, "default", "default", "team"), UID: types.UID(name), Labels: map[string]string{}}}
	p.Spec.SchedulerName = config.DefaultName
	p.Spec.Priority = ptr.To(int32(g.IntN(3)))
	p.Labels["app"] = pickOf(g, "web", "db", "cache")
	if g.chance(40) {
		p.Labels["tier"] = pickOf(g, "front", "back")
	}
	if g.chance(20) {
		p.Labels["unique"] = name
	}
	for range 1 + g.IntN(2) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Image: fmt.Sprintf("image:%d", g.IntN(4)), Resources: corev1.ResourceRequirements{Requests: g.requests()}})
	}
	if g.chance(15) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: int32(80 + g.IntN(2)), HostIP: pickOf(g, "", "0.0.0.0", "10.0.0.1"),
			Protocol: pickOf(g, corev1.ProtocolTCP, corev1.ProtocolUDP)}}
	}
	for range g.IntN(3) {
		t := corev1.Toleration{Key: pickOf(g, "a", "b"), Operator: pickOf(g, corev1.TolerationOpExists, corev1.TolerationOpEqual),
			Effect: pickOf(g, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)}
		if t.Operator == corev1.TolerationOpEqual {
			t.Value = pickOf(g, "1", "2")
		}
		p.Spec.Tolerations = append(p.Spec.Tolerations, t)
	}
	if g.chance(15) {
		p.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: pickOf(g, "z1", "z2")}
	}
	if g.chance(50) {
		p.Spec.Affinity = g.affinity()
	}
	if g.chance(30) {
		for range 1 + g.IntN(2) {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, g.spread())
		}
	}
	if g.chance(20) {
		g.mounts(p)
	}
	if g.chance(5) {
		p.DeletionTimestamp = &metav1.Time{}
	}
	return p
}

func (g *generator) requests() corev1.ResourceList {
	list := corev1.ResourceList{}
	if g.chance(70) {
		list[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(g.IntN(20))*100, resource.DecimalSI)
	}
	if g.chance(70) {
		list[corev1.ResourceMemory] = *resource.NewQuantity(int64(g.IntN(20))<<26, resource.BinarySI)
	}
	if g.chance(8) {
		list["example.com/gpu"] = *resource.NewQuantity(1, resource.DecimalSI)
	}
	return list
}

func (g *generator) nodeTerm() corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{pickOf(g,
		corev1.NodeSelectorRequirement{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{"z1", "z3"}},
		corev1.NodeSelectorRequirement{Key: "rack", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"1"}},
		corev1.NodeSelectorRequirement{Key: "rack", Operator: corev1.NodeSelectorOpExists},
		corev1.NodeSelectorRequirement{Key: "size", Operator: corev1.NodeSelectorOpGt, Values: []string{"4"}},
		corev1.NodeSelectorRequirement{Key: "size", Operator: corev1.NodeSelectorOpDoesNotExist},
	)}}
}

func (g *generator) key() string {
	return pickOf(g, corev1.LabelHostname, corev1.LabelTopologyZone, "rack")
}

func (g *generator) selector() *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	if g.chance(80) {
		s.MatchLabels["app"] = pickOf(g, "web", "db", "cache")
	}
	if g.chance(20) {
		s.MatchLabels["tier"] = pickOf(g, "front", "back")
	}
	return s
}

func (g *generator) podTerm() corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{TopologyKey: g.key(), LabelSelector: g.selector()}
	if g.chance(15) {
		t.Namespaces = []string{"team"}
	}
	if g.chance(15) {
		t.NamespaceSelector = pickOf(g, &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"kind": "team"}})
	}
	return t
}

func (g *generator) affinity() *corev1.Affinity {
	a := &corev1.Affinity{}
	if g.chance(30) {
		a.NodeAffinity = &corev1.NodeAffinity{}
		if g.chance(50) {
			a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{g.nodeTerm(), g.nodeTerm()}}
		}
		for range g.IntN(3) {
			a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
				corev1.PreferredSchedulingTerm{Weight: int32(1 + g.IntN(50)), Preference: g.nodeTerm()})
		}
	}
	if g.chance(40) {
		a.PodAffinity = &corev1.PodAffinity{}
		if g.chance(40) {
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = []corev1.PodAffinityTerm{g.podTerm()}
			if g.chance(30) {
				a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, g.podTerm())
			}
		}
		if g.chance(50) {
			a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{{Weight: int32(1 + g.IntN(100)), PodAffinityTerm: g.podTerm()}}
		}
	}
	if g.chance(40) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		if g.chance(40) {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = []corev1.PodAffinityTerm{g.podTerm()}
		}
		if g.chance(50) {
			a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = []corev1.WeightedPodAffinityTerm{{Weight: int32(1 + g.IntN(100)), PodAffinityTerm: g.podTerm()}}
		}
	}
	return a
}

func (g *generator) spread() corev1.TopologySpreadConstraint {
	c := corev1.TopologySpreadConstraint{
		MaxSkew: int32(1 + g.IntN(3)), TopologyKey: g.key(), LabelSelector: g.selector(),
		WhenUnsatisfiable: pickOf(g, corev1.DoNotSchedule, corev1.ScheduleAnyway),
	}
	if g.chance(20) {
		c.MatchLabelKeys = []string{"tier"}
	}
	if c.WhenUnsatisfiable == corev1.DoNotSchedule && g.chance(30) {
		c.MinDomains = ptr.To(int32(1 + g.IntN(4)))
	}
	if g.chance(20) {
		c.NodeAffinityPolicy = ptr.To(pickOf(g, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
	}
	if g.chance(20) {
		c.NodeTaintsPolicy = ptr.To(pickOf(g, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
	}
	return c
}

// life is one random cluster over time, held twice: as columns and as plain objects.
type life struct {
	*generator
	t        testing.TB
	world    world
	snapshot *snapshot.Snapshot
	decider  *Decider
	profiles []*profile.Profile // decided by one or the other
	nominees []*snapshot.Pod
	kinds    []*corev1.Pod // pods come in series of one kind, so that shapes are met again
}

func newLife(t testing.TB, seed uint64, profiles ...*profile.Profile) *life {
	l := &life{generator: &generator{Rand: rand.New(rand.NewPCG(seed, 1))}, t: t, snapshot: snapshot.New(), profiles: profiles}
	l.decider = New(l.snapshot)
	l.decider.Random = l.IntN
	l.world.namespaces = map[string]map[string]string{"default": {}, "team": {"kind": "team"}}
	for name, set := range l.world.namespaces {
		l.snapshot.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set}}, name)
	}
	l.world.storage = l.furnish(l.snapshot)
	for range 1 + l.IntN(12) {
		l.addNode()
	}
	for range 6 {
		l.kinds = append(l.kinds, l.pod())
	}
	return l
}

func (l *life) addNode() {
	n := l.node()
	l.world.nodes = append(l.world.nodes, n)
	l.snapshot.SetNode(n)
	l.attachable(n)
}

// next is a pod, most often of a kind that was there before.
func (l *life) next() *corev1.Pod {
	if l.chance(25) {
		l.kinds[l.IntN(len(l.kinds))] = l.pod()
	}
	l.serial++
	p := l.kinds[l.IntN(len(l.kinds))].DeepCopy()
	p.Name = fmt.Sprintf("p%d", l.serial)
	p.UID = types.UID(p.Name)
	if _, ok := p.Labels["unique"]; ok {
		p.Labels["unique"] = p.Name
	}
	return p
}

// step lets something happen, then decides a pod both ways.
func (l *life) step() {
	switch n := l.IntN(20); {
	case n == 0:
		l.addNode()
	case n == 1 && len(l.world.nodes) > 1:
		l.replaceNode()
	case n == 2 && len(l.world.nodes) > 1:
		i := l.IntN(len(l.world.nodes))
		l.snapshot.RemoveNode(l.world.nodes[i].Name)
		l.world.nodes = append(l.world.nodes[:i], l.world.nodes[i+1:]...)
	case n == 3:
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(l.IntN(2))}, Spec: corev1.ServiceSpec{Selector: l.selector().MatchLabels}}
		l.setService(s)
	case n == 4:
		l.promise()
	case n < 9 && len(l.world.pods) > 0:
		i := l.IntN(len(l.world.pods))
		placed, _ := l.snapshot.Lookup(l.world.pods[i])
		l.snapshot.Displace(placed)
		l.world.pods = append(l.world.pods[:i], l.world.pods[i+1:]...)
	}
	l.decide(l.next())
}

// promise nominates a pod for a node, or takes all promises back.
func (l *life) promise() {
	if len(l.world.promised) > 3 {
		for _, p := range l.nominees {
			l.snapshot.Denominate(p)
		}
		l.world.promised, l.nominees = nil, nil
		return
	}
	n := l.world.nodes[l.IntN(len(l.world.nodes))]
	pod := l.next()
	row, _ := l.snapshot.Row(n.Name)
	p := l.snapshot.NewPod(pod)
	l.snapshot.Nominate(p, row)
	promised := pod.DeepCopy()
	promised.Spec.NodeName = n.Name
	l.world.promised, l.nominees = append(l.world.promised, promised), append(l.nominees, p)
}

func (l *life) setService(s *corev1.Service) {
	for i, old := range l.world.services {
		if old.Name == s.Name {
			l.world.services = append(l.world.services[:i], l.world.services[i+1:]...)
			break
		}
	}
	if len(s.Spec.Selector) > 0 {
		l.world.services = append(l.world.services, s)
	}
	l.snapshot.SetService(s.Namespace, s.Name, s.Spec.Selector)
}

func (l *life) replaceNode() {
	i := l.IntN(len(l.world.nodes))
	n := l.node()
	n.Name = l.world.nodes[i].Name
	l.world.nodes[i] = n
	l.snapshot.SetNode(n)
}

func (l *life) decide(pod *corev1.Pod) {
	l.t.Helper()
	want := l.world.judge(pod)
	p := l.snapshot.NewPod(pod)
	cycle := &plugin.Cycle{Pod: p, Snapshot: l.snapshot}
	p0 := l.profiles[l.IntN(len(l.profiles))]
	got := l.decider.Decide(context.Background(), &Request{Profile: p0, Cycle: cycle})
	feasible, best, ties := 0, int64(-1), 0
	for _, o := range want {
		if len(o.refused) > 0 {
			continue
		}
		feasible++
		switch {
		case o.total > best:
			best, ties = o.total, 1
		case o.total == best:
			ties++
		}
	}
	l.explainedAs(cycle, want)
	if feasible == 0 {
		if got.Row >= 0 {
			l.t.Fatalf("pod %s got %s, but nothing is feasible", pod.Name, l.snapshot.NameOf(got.Row))
		}
		l.refusedAs(got.Failure, want)
		return
	}
	if got.Row < 0 {
		l.t.Fatalf("pod %s: nothing found (%v, %v), but %d are feasible: %+v", pod.Name, got.Err, got.Failure.Message(), feasible, want)
	}
	name := l.snapshot.NameOf(got.Row)
	if len(pod.Spec.Volumes) > 0 && got.Feasible >= feasible { // not all nodes were asked: how many there are is not known
		got.Feasible, got.Ties = feasible, ties
	}
	if got.Feasible != feasible || got.Score != best && feasible > 1 || got.Ties != ties && feasible > 1 {
		l.t.Fatalf("pod %s: %d feasible, best %d, %d ties on %s; want %d, %d, %d", pod.Name, got.Feasible, got.Score, got.Ties, name, feasible, best, ties)
	}
	for i, n := range l.world.nodes {
		if n.Name == name && (len(want[i].refused) > 0 || want[i].total != best) {
			l.t.Fatalf("pod %s is on %s: %+v, best is %d", pod.Name, name, want[i], best)
		}
	}
	pod.Spec.NodeName = name
	l.world.pods = append(l.world.pods, pod)
	l.snapshot.PlaceOn(p, got.Row)
}

// refusedAs checks that each refused node counts under some plugin that refuses it in the reference.
func (l *life) refusedAs(f *Failure, want []opinion) {
	l.t.Helper()
	for _, name := range f.Plugins {
		found := false
		for _, o := range want {
			found = found || o.either[name]
		}
		if !found {
			l.t.Fatalf("%s is said to have refused, but it did not", name)
		}
	}
}

// explainedAs checks every filter and every score of every node.
func (l *life) explainedAs(cycle *plugin.Cycle, want []opinion) {
	l.t.Helper()
	x, err := l.decider.Explain(context.Background(), &Request{Profile: l.profiles[0], Cycle: cycle})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, n := range x.Nodes {
		for i, o := range l.world.nodes {
			if o.Name != n.Node {
				continue
			}
			if len(n.Refusals) != len(want[i].refused) || n.Total != want[i].total {
				l.t.Fatalf("pod %s on %s: %+v, want %+v", cycle.Pod.Object.Name, n.Node, n, want[i])
			}
			for _, r := range n.Refusals {
				if !want[i].refused[r.Plugin] {
					l.t.Fatalf("pod %s on %s: refused by %s, want %v", cycle.Pod.Object.Name, n.Node, r.Plugin, want[i].refused)
				}
			}
			for _, s := range n.Scores {
				if s.Normalized != want[i].scores[s.Plugin] {
					l.t.Fatalf("pod %s on %s: %+v, want %d", cycle.Pod.Object.Name, n.Node, s, want[i].scores[s.Plugin])
				}
			}
		}
	}
}

// In random clusters over time, the columns and the plain reading of the rules always come to the same: the same feasible nodes, the same
// refusing filters, the same score of every plugin, the same best and number of ties. SEPTET_CLUSTERS sets how many clusters there are.
func TestColumnsAgreeWithThePlainRules(t *testing.T) {
	t.Parallel()
	clusters := 300
	if n, err := strconv.Atoi(os.Getenv("SEPTET_CLUSTERS")); err == nil {
		clusters = n
	}
	table, scan := defaultProfile(t), scanningProfile(t)
	for seed := range clusters {
		l := newLife(t, uint64(seed), table, scan)
		for range 60 {
			l.step()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func FuzzColumnsAgreeWithThePlainRules(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed)
	}
	table, scan := defaultProfile(f), scanningProfile(f)
	f.Fuzz(func(t *testing.T, seed uint64) {
		l := newLife(t, seed, table, scan)
		for range 40 {
			l.step()
		}
	})
}

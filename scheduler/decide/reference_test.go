package decide

import (
	"math"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// world is a cluster as plain objects, and the slow reading of the rules over it: every rule is worked out anew for every node, from
// objects alone, as their documentation says, sharing nothing with what it is compared with.
type world struct {
	nodes      []*corev1.Node
	pods       []*corev1.Pod // placed, by spec.nodeName
	namespaces map[string]map[string]string
	services   []*corev1.Service
	storage    storage
	// promised pods wait for room on the node that their spec names.
	promised []*corev1.Pod
}

type opinion struct {
	refused map[string]bool // plugins
	either  map[string]bool // plugins that refuse with or without the promised pods
	total   int64
	scores  map[string]int64
}

func (w *world) node(name string) *corev1.Node {
	for _, n := range w.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

func (w *world) on(name string) (list []*corev1.Pod) {
	for _, p := range w.pods {
		if p.Spec.NodeName == name {
			list = append(list, p)
		}
	}
	return list
}

// judge returns the opinion about each node, in order.
func (w *world) judge(pod *corev1.Pod) []opinion {
	out := make([]opinion, len(w.nodes))
	var feasible []int
	for i, n := range w.nodes {
		out[i] = opinion{refused: map[string]bool{}, either: map[string]bool{}, scores: map[string]int64{}}
		w.filter(pod, n, out[i].either)
		w.withPromised(pod, n).filter(pod, n, out[i].either)
		w.filter(pod, n, out[i].refused)
		if len(out[i].refused) == 0 {
			w.withPromised(pod, n).filter(pod, n, out[i].refused)
		}
		if len(out[i].refused) == 0 {
			feasible = append(feasible, i)
		}
	}
	weights := map[string]int64{"NodeResourcesFit": 1, "NodeResourcesBalancedAllocation": 1, "ImageLocality": 1, "TaintToleration": 3,
		"NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2}
	for name, scores := range map[string][]int64{
		"NodeResourcesFit":                each(feasible, func(i int) int64 { return w.leastAllocated(pod, w.nodes[i]) }),
		"NodeResourcesBalancedAllocation": each(feasible, func(i int) int64 { return w.balanced(pod, w.nodes[i]) }),
		"ImageLocality":                   each(feasible, func(i int) int64 { return w.images(pod, w.nodes[i]) }),
		"TaintToleration":                 byMax(each(feasible, func(i int) int64 { return softTaints(pod, w.nodes[i]) }), true),
		"NodeAffinity":                    byMax(each(feasible, func(i int) int64 { return preferredNode(pod, w.nodes[i]) }), false),
		"PodTopologySpread":               w.spreadScores(pod, feasible),
		"InterPodAffinity":                w.affinityScores(pod, feasible),
	} {
		for j, i := range feasible {
			out[i].scores[name] = scores[j]
			out[i].total += scores[j] * weights[name]
		}
	}
	return out
}

// filter notes which filters refuse the node.
func (w *world) filter(pod *corev1.Pod, n *corev1.Node, into map[string]bool) {
	for name, refused := range map[string]bool{
		"NodeUnschedulable": n.Spec.Unschedulable && !tolerated(pod, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}),
		"TaintToleration":   w.tainted(pod, n),
		"NodeAffinity":      !nodeMatches(pod, n),
		"NodePorts":         w.portTaken(pod, n),
		"NodeResourcesFit":  !w.fits(pod, n),
		"PodTopologySpread": !w.spreadAllows(pod, n),
		"InterPodAffinity":  !w.affinityAllows(pod, n),
	} {
		if refused {
			into[name] = true
		}
	}
	w.storageRefuses(pod, n, into)
}

// withPromised is the world as if the pods were there that are promised the node and are at least as important.
func (w *world) withPromised(pod *corev1.Pod, n *corev1.Node) *world {
	other := *w
	other.pods = slices.Clone(w.pods)
	for _, p := range w.promised {
		if p.Spec.NodeName == n.Name && *p.Spec.Priority >= *pod.Spec.Priority {
			other.pods = append(other.pods, p)
		}
	}
	return &other
}

func each(list []int, f func(int) int64) []int64 {
	out := make([]int64, len(list))
	for j, i := range list {
		out[j] = f(i)
	}
	return out
}

func byMax(raw []int64, reverse bool) []int64 {
	high := int64(0)
	for _, r := range raw {
		high = max(high, r)
	}
	for i := range raw {
		if high > 0 {
			raw[i] = 100 * raw[i] / high
		}
		if reverse {
			raw[i] = 100 - raw[i]
		}
	}
	return raw
}

func tolerated(pod *corev1.Pod, taint corev1.Taint) bool {
	for _, t := range pod.Spec.Tolerations {
		if (t.Effect == "" || t.Effect == taint.Effect) && (t.Key == "" || t.Key == taint.Key) &&
			(t.Operator == corev1.TolerationOpExists || t.Value == taint.Value) {
			return true
		}
	}
	return false
}

func (w *world) tainted(pod *corev1.Pod, n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(pod, t) {
			return true
		}
	}
	return false
}

func softTaints(pod *corev1.Pod, n *corev1.Node) (count int64) {
	soft := &corev1.Pod{}
	for _, t := range pod.Spec.Tolerations {
		if t.Effect == "" || t.Effect == corev1.TaintEffectPreferNoSchedule {
			soft.Spec.Tolerations = append(soft.Spec.Tolerations, t)
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerated(soft, t) {
			count++
		}
	}
	return count
}

func requirementHolds(r corev1.NodeSelectorRequirement, all map[string]string) bool {
	value, ok := all[r.Key]
	switch r.Operator {
	case corev1.NodeSelectorOpIn:
		return ok && slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return !ok || !slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpExists:
		return ok
	case corev1.NodeSelectorOpDoesNotExist:
		return !ok
	}
	have, err1 := strconv.Atoi(value)
	limit, err2 := strconv.Atoi(r.Values[0])
	if !ok || err1 != nil || err2 != nil {
		return false
	}
	return r.Operator == corev1.NodeSelectorOpGt && have > limit || r.Operator == corev1.NodeSelectorOpLt && have < limit
}

func termHolds(t corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions)+len(t.MatchFields) == 0 {
		return false
	}
	for _, r := range t.MatchExpressions {
		if !requirementHolds(r, n.Labels) {
			return false
		}
	}
	for _, r := range t.MatchFields {
		if !requirementHolds(r, map[string]string{"metadata.name": n.Name}) {
			return false
		}
	}
	return true
}

func nodeMatches(pod *corev1.Pod, n *corev1.Node) bool {
	for k, v := range pod.Spec.NodeSelector {
		if have, ok := n.Labels[k]; !ok || have != v {
			return false
		}
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return true
	}
	for _, t := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if termHolds(t, n) {
			return true
		}
	}
	return false
}

func preferredNode(pod *corev1.Pod, n *corev1.Node) (sum int64) {
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		for _, t := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			if termHolds(t.Preference, n) {
				sum += int64(t.Weight)
			}
		}
	}
	return sum
}

func (w *world) portTaken(pod *corev1.Pod, n *corev1.Node) bool {
	for _, other := range w.on(n.Name) {
		for _, a := range pod.Spec.Containers[0].Ports {
			for _, b := range other.Spec.Containers[0].Ports {
				wild := a.HostIP == "" || a.HostIP == "0.0.0.0" || b.HostIP == "" || b.HostIP == "0.0.0.0"
				if a.HostPort > 0 && a.HostPort == b.HostPort && a.Protocol == b.Protocol && (wild || a.HostIP == b.HostIP) {
					return true
				}
			}
		}
	}
	return false
}

func ask(pod *corev1.Pod, name corev1.ResourceName) (sum int64) {
	for _, c := range pod.Spec.Containers {
		q := c.Resources.Requests[name]
		if name == corev1.ResourceCPU {
			sum += q.MilliValue()
		} else {
			sum += q.Value()
		}
	}
	return sum
}

func askOrDefault(pod *corev1.Pod, name corev1.ResourceName) (sum int64) {
	for _, c := range pod.Spec.Containers {
		q, ok := c.Resources.Requests[name]
		switch {
		case ok && name == corev1.ResourceCPU:
			sum += q.MilliValue()
		case ok:
			sum += q.Value()
		case name == corev1.ResourceCPU:
			sum += 100
		default:
			sum += 200 * 1024 * 1024
		}
	}
	return sum
}

func has(n *corev1.Node, name corev1.ResourceName) int64 {
	q := n.Status.Allocatable[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

func (w *world) fits(pod *corev1.Pod, n *corev1.Node) bool {
	if int64(len(w.on(n.Name)))+1 > has(n, corev1.ResourcePods) {
		return false
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage, "example.com/gpu"} {
		want := ask(pod, name)
		used := int64(0)
		for _, other := range w.on(n.Name) {
			used += ask(other, name)
		}
		if want > 0 && want > has(n, name)-used {
			return false
		}
	}
	return true
}

func (w *world) leastAllocated(pod *corev1.Pod, n *corev1.Node) int64 {
	var sum, weights int64
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		capacity, used := has(n, name), askOrDefault(pod, name)
		for _, other := range w.on(n.Name) {
			used += askOrDefault(other, name)
		}
		if capacity == 0 {
			continue
		}
		weights++
		if used <= capacity {
			sum += (capacity - used) * 100 / capacity
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

func (w *world) balanced(pod *corev1.Pod, n *corev1.Node) int64 {
	if ask(pod, corev1.ResourceCPU) == 0 && ask(pod, corev1.ResourceMemory) == 0 {
		return 0
	}
	score := func(extra int64) int64 {
		var shares []float64
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			used := extra * ask(pod, name)
			for _, other := range w.on(n.Name) {
				used += ask(other, name)
			}
			if capacity := has(n, name); capacity > 0 {
				shares = append(shares, min(1, float64(used)/float64(capacity)))
			}
		}
		if len(shares) < 2 {
			return 100
		}
		return int64((1 - math.Abs((shares[0]-shares[1])/2)) * 100)
	}
	return 50 + (50+score(1)-score(0))/2
}

func (w *world) images(pod *corev1.Pod, n *corev1.Node) int64 {
	var sum int64
	for _, c := range pod.Spec.Containers {
		count, size := 0, int64(0)
		here := false
		for _, o := range w.nodes {
			for _, image := range o.Status.Images {
				if slices.Contains(image.Names, c.Image) {
					count++
					size = image.SizeBytes
					here = here || o == n
				}
			}
		}
		if here {
			sum += int64(float64(size) * (float64(count) / float64(len(w.nodes))))
		}
	}
	low, high := int64(23<<20), int64(1000<<20)*int64(len(pod.Spec.Containers))
	return 100 * (max(low, min(high, sum)) - low) / (high - low)
}

func selects(s *metav1.LabelSelector, set map[string]string) bool {
	selector, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(set))
}

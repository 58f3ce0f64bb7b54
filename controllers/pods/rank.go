package pods

import (
	"math"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ToDelete returns the n of the active Pods that are the smallest loss, most dispensable first. related are the active Pods
// of the same application (they may include active ones): a node that has more of them loses one first.
func ToDelete(active, related []*corev1.Pod, n int, now time.Time) []*corev1.Pod {
	if n >= len(active) {
		return active
	}
	onNode := map[string]int{}
	for _, pod := range related {
		if Active(pod) {
			onNode[pod.Spec.NodeName]++
		}
	}
	ordered := append([]*corev1.Pod(nil), active...)
	sort.SliceStable(ordered, func(i, j int) bool {
		return before(ordered[i], ordered[j], onNode[ordered[i].Spec.NodeName], onNode[ordered[j].Spec.NodeName], now)
	})
	return ordered[:n]
}

// phaseRank orders phases by how little is lost with the Pod.
var phaseRank = map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}

// before reports whether a goes before b. Each criterion decides only where those before it do not;
// the order is part of the API (pod-deletion-cost is documented by it).
func before(a, b *corev1.Pod, crowdA, crowdB int, now time.Time) bool {
	if (a.Spec.NodeName == "") != (b.Spec.NodeName == "") {
		return a.Spec.NodeName == ""
	}
	if x, y := phaseRank[a.Status.Phase], phaseRank[b.Status.Phase]; x != y {
		return x < y
	}
	if Ready(a) != Ready(b) {
		return !Ready(a)
	}
	if x, y := deletionCost(a), deletionCost(b); x != y {
		return x < y
	}
	if crowdA != crowdB {
		return crowdA > crowdB
	}
	if Ready(a) && Ready(b) {
		if younger, decided := youngerFirst(readyTime(a), readyTime(b), a, b, now); decided {
			return younger
		}
	}
	mainA, sidecarA := restarts(a)
	mainB, sidecarB := restarts(b)
	if mainA != mainB {
		return mainA > mainB
	}
	if sidecarA != sidecarB {
		return sidecarA > sidecarB
	}
	younger, _ := youngerFirst(a.CreationTimestamp, b.CreationTimestamp, a, b, now)
	return younger
}

// youngerFirst compares two ages by their order of magnitude (base 2), and by UID within one: so the choice among
// Pods of about the same age is spread rather than always hitting the youngest (KEP-2185).
func youngerFirst(a, b metav1.Time, podA, podB *corev1.Pod, now time.Time) (first, decided bool) {
	if a.Equal(&b) {
		return false, false
	}
	if a.IsZero() || b.IsZero() {
		return a.IsZero(), true
	}
	magnitudeA, magnitudeB := magnitude(now.Sub(a.Time)), magnitude(now.Sub(b.Time))
	if magnitudeA == magnitudeB {
		return podA.UID < podB.UID, true
	}
	return magnitudeA < magnitudeB, true
}

func magnitude(age time.Duration) int64 {
	if age <= 0 {
		return -1
	}
	return int64(math.Log2(float64(age)))
}

// deletionCost returns the Pod's controller.kubernetes.io/pod-deletion-cost; 0 where it is absent or not a 32-bit
// integer in canonical form.
func deletionCost(pod *corev1.Pod) int64 {
	value := pod.Annotations[corev1.PodDeletionCost]
	cost, err := strconv.ParseInt(value, 10, 32)
	if err != nil || value[0] == '+' || (value[0] == '0' && len(value) > 1) {
		return 0
	}
	return cost
}

// restarts returns the highest restart count among the main containers and among the sidecars.
func restarts(pod *corev1.Pod) (main, sidecar int32) {
	for _, status := range pod.Status.ContainerStatuses {
		main = max(main, status.RestartCount)
	}
	always := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		always[container.Name] = container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}
	for _, status := range pod.Status.InitContainerStatuses {
		if always[status.Name] {
			sidecar = max(sidecar, status.RestartCount)
		}
	}
	return main, sidecar
}

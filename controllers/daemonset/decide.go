package daemonset

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/septet-io/septet/controllers/pods"
)

// Snapshot is all that a Plan depends on.
type Snapshot struct {
	Set   *appsv1.DaemonSet
	Nodes []*corev1.Node
	// Pods are those that belong to the set.
	Pods []*corev1.Pod
	// Hash is that of the set's current template, in the labels of Pods made from it.
	Hash string
	// Unseen says that the caches do not show yet what was created or deleted last: then only the status is computed.
	Unseen bool
	// Backoff returns how long to wait before a failed Pod on a node is replaced; 0 now.
	Backoff func(node string) time.Duration
	Now     time.Time
}

// Plan is all that one turn does for a DaemonSet.
type Plan struct {
	Delete []*corev1.Pod
	// Create are the nodes to create a Pod for.
	Create []string
	// Failed are the nodes whose failed Pod is being deleted: their next failure waits longer.
	Failed []string
	Events []Event
	Status appsv1.DaemonSetStatus
	// After is when to look again though nothing happens; 0 is never.
	After time.Duration
}

// Event is something to tell about the set.
type Event struct{ Type, Reason, Message string }

// place is a node and the set's Pods on it, the oldest first.
type place struct {
	*corev1.Node
	run, stay bool
	pods      []*corev1.Pod
}

// rollout is a Plan in the making.
type rollout struct {
	Snapshot
	places    []*place
	displaced []*corev1.Pod // for nodes that do not exist
	plan      Plan
}

// Decide returns what to do for a DaemonSet now. It changes nothing that it is given.
func Decide(s Snapshot) Plan {
	r := &rollout{Snapshot: s}
	r.arrange()
	if s.Set.DeletionTimestamp == nil && !s.Unseen {
		r.cover()
		if len(r.plan.Create) == 0 && len(r.plan.Delete) == 0 && s.Set.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
			r.roll()
		}
	}
	r.report()
	return r.plan
}

func (r *rollout) arrange() {
	byNode := map[string][]*corev1.Pod{}
	for _, pod := range r.Pods {
		byNode[nodeOf(pod)] = append(byNode[nodeOf(pod)], pod)
	}
	tolerated := tolerationsOf(&r.Set.Spec.Template.Spec)
	for _, node := range r.Nodes {
		p := &place{Node: node, pods: byNode[node.Name]}
		p.run, p.stay = wants(r.Set, tolerated, node)
		slices.SortStableFunc(p.pods, older)
		r.places = append(r.places, p)
		delete(byNode, node.Name)
	}
	slices.SortFunc(r.places, func(a, b *place) int { return cmp.Compare(a.Name, b.Name) })
	for _, pod := range r.Pods {
		if _, left := byNode[nodeOf(pod)]; left {
			r.displaced = append(r.displaced, pod)
		}
	}
}

// older orders Pods that have a node before those that wait for it, then by age.
func older(a, b *corev1.Pod) int {
	if (a.Spec.NodeName != "") != (b.Spec.NodeName != "") {
		if a.Spec.NodeName != "" {
			return -1
		}
		return 1
	}
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// cover sees to it that there is one Pod wherever the set wants one, and none elsewhere.
func (r *rollout) cover() {
	for _, p := range r.places {
		switch {
		case p.run && len(p.pods) == 0:
			r.plan.Create = append(r.plan.Create, p.Name)
		case p.stay:
			r.tidy(p)
		default:
			r.delete(pods.Keep(p.pods, notGoing)...)
		}
	}
	for _, pod := range r.displaced {
		// One that was bound is the Pod garbage collector's: the node may come back. One that was not never will be.
		if pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
			r.delete(pod)
		}
	}
}

func notGoing(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil }

func (r *rollout) delete(doomed ...*corev1.Pod) { r.plan.Delete = append(r.plan.Delete, doomed...) }

// tidy removes Pods that have ended and those that are too many on a node.
func (r *rollout) tidy(p *place) {
	var running []*corev1.Pod
	for _, pod := range p.pods {
		switch {
		case pod.DeletionTimestamp != nil:
		case pod.Status.Phase == corev1.PodFailed:
			r.replaceFailed(p, pod)
		case pod.Status.Phase == corev1.PodSucceeded:
			r.tell(corev1.EventTypeNormal, "SucceededDaemonPod", "Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod.Namespace, pod.Name, p.Name)
			r.delete(pod)
		default:
			running = append(running, pod)
		}
	}
	if len(running) <= 1 {
		return
	}
	if surge, _ := r.fence(); surge == 0 {
		r.delete(running[1:]...)
		return
	}
	r.tidySurge(running)
}

// replaceFailed deletes a failed Pod, unless those before it on that node failed lately too.
func (r *rollout) replaceFailed(p *place, pod *corev1.Pod) {
	if wait := r.Backoff(p.Name); wait > 0 {
		r.again(wait)
		return
	}
	r.plan.Failed = append(r.plan.Failed, p.Name)
	r.tell(corev1.EventTypeWarning, "FailedDaemonPod", "Found failed daemon pod %s/%s on node %s, will try to kill it", pod.Namespace, pod.Name, p.Name)
	r.delete(pod)
}

// tidySurge keeps the oldest Pod of the new template and the oldest of an older one, until the new one can take over.
func (r *rollout) tidySurge(running []*corev1.Pod) {
	var newPod, oldPod *corev1.Pod
	for _, pod := range running {
		slot := &oldPod
		if updated(r.Set, pod, r.Hash) {
			slot = &newPod
		}
		if *slot == nil {
			*slot = pod
			continue
		}
		r.delete(pod)
	}
	if newPod != nil && oldPod != nil && (!pods.Ready(oldPod) || r.available(newPod)) {
		r.delete(oldPod)
	}
}

func (r *rollout) available(pod *corev1.Pod) bool {
	return pods.Available(pod, r.Set.Spec.MinReadySeconds, r.Now)
}

func (r *rollout) tell(kind, reason, format string, args ...any) {
	r.plan.Events = append(r.plan.Events, Event{kind, reason, fmt.Sprintf(format, args...)})
}

// again asks for another look after some time, or earlier.
func (r *rollout) again(after time.Duration) {
	if r.plan.After == 0 || after < r.plan.After {
		r.plan.After = after
	}
}

// fence returns how many nodes may have a second Pod, and how many may have none that is available, while the set rolls. Not both 0.
func (r *rollout) fence() (surge, unavailable int) {
	rolling := r.Set.Spec.UpdateStrategy.RollingUpdate
	if r.Set.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || rolling == nil {
		return 0, 1
	}
	desired := 0
	for _, p := range r.places {
		if p.run {
			desired++
		}
	}
	surge, unavailable = scaled(rolling.MaxSurge, 0, desired), scaled(rolling.MaxUnavailable, 1, desired)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

func scaled(value *intstr.IntOrString, fallback int32, of int) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(value, intstr.FromInt32(fallback)), of, true)
	if err != nil {
		return 0
	}
	return n
}

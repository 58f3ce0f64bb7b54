// Package interpodaffinity places pods near to, or away from, other pods, by topology domain. Anti-affinity binds both ways: a pod
// also stays away from placed pods that exclude it.
package interpodaffinity

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/scheduler/plugin"
	"github.com/septet-io/septet/scheduler/snapshot"
)

// Name of the plugin.
const Name = "InterPodAffinity"

// Plugin is InterPodAffinity.
type Plugin struct {
	hardWeight      int32
	ignorePreferred bool
}

// New returns the plugin. hardWeight is what a placed pod's required affinity is worth to a pod that it matches; ignorePreferred leaves
// placed pods' preferred terms out for pods that have no preferred terms themselves.
func New(hardWeight int32, ignorePreferred bool) *Plugin {
	return &Plugin{hardWeight: hardWeight, ignorePreferred: ignorePreferred}
}

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// Events implements plugin.Events.
func (*Plugin) Events() []plugin.EventHint {
	return []plugin.EventHint{
		{Resource: plugin.AssignedPod, Action: plugin.Add | plugin.Delete | plugin.UpdatePodLabel, Hint: concerns},
		{Resource: plugin.UnscheduledPod, Action: plugin.UpdatePodLabel},
		{Resource: plugin.Node, Action: plugin.Add | plugin.UpdateNodeLabel},
		{Resource: plugin.Namespace, Action: plugin.UpdateOther | plugin.Add},
	}
}

// concerns says whether the pod of an event matches the waiting pod's terms, or the other way round.
func concerns(waiting *corev1.Pod, e *plugin.Event) bool {
	for _, object := range []any{e.New, e.Old} {
		pod, ok := object.(*corev1.Pod)
		if ok && pod != nil && (matchesAny(waiting, pod) || matchesAny(pod, waiting)) {
			return true
		}
	}
	return false
}

// matchesAny says whether one of a's required terms matches b. Namespaces chosen by label are taken to match: better woken once too often.
func matchesAny(a, b *corev1.Pod) bool {
	if a.Spec.Affinity == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	if p := a.Spec.Affinity.PodAffinity; p != nil {
		terms = append(terms, p.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	if p := a.Spec.Affinity.PodAntiAffinity; p != nil {
		terms = append(terms, p.RequiredDuringSchedulingIgnoredDuringExecution...)
	}
	for _, t := range snapshot.AffinityTerms(a.Namespace, a.Labels, terms) {
		inNamespace := t.NamespaceSelector != nil
		for _, namespace := range t.Namespaces {
			inNamespace = inNamespace || namespace == b.Namespace
		}
		if inNamespace && t.Selector.Matches(labels.Set(b.Labels)) {
			return true
		}
	}
	return false
}

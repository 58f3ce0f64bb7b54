package scheduler

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func everywhere(match map[string]string) corev1.PodAffinityTerm {
	return corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: match}, NamespaceSelector: &metav1.LabelSelector{}}
}

// Pods that ask for absurd things are told so, or get their node like others; those that come after them do not suffer.
func TestAbsurdPods(t *testing.T) {
	t.Parallel()
	c := fakeAPI(t, node("a", "4", "8Gi"), node("b", "4", "8Gi"), node("c", "4", "8Gi"))
	c.start()
	next := func(after string) {
		t.Helper()
		c.add(pod("after-"+after, "10m", ""))
		c.nodeOf("after-" + after)
	}
	// The sum of its containers is more than an int64 can hold, and must not come out as little or negative.
	c.add(pod("overflow", "9223372036854775807", "8Ei", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, *p.Spec.Containers[0].DeepCopy(), *p.Spec.Containers[0].DeepCopy())
		p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("9223372036854775807")}
	}))
	if got, want := c.refusal("overflow"), "0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory."; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	next("overflow")
	c.add(pod("terms", "10m", "", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}, PodAffinity: &corev1.PodAffinity{}}
		for i := range 3000 {
			term := everywhere(map[string]string{"app": fmt.Sprint(i)})
			p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, term)
			p.Spec.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(p.Spec.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
				corev1.WeightedPodAffinityTerm{Weight: 100, PodAffinityTerm: term})
		}
	}))
	c.nodeOf("terms")
	next("terms")
	// It wants nobody beside it, in whatever namespace; each node has somebody by now, or will.
	c.add(pod("alone", "10m", "", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{everywhere(nil)}}}
	}))
	next("alone")
	c.add(pod("constraints", "10m", "", func(p *corev1.Pod) {
		for i := range 1000 {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{MaxSkew: 1, TopologyKey: fmt.Sprintf("example.com/%d", i),
				WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: &metav1.LabelSelector{}})
		}
	}))
	if got, want := c.refusal("constraints"), "0/3 nodes are available: "; !strings.HasPrefix(got, want) {
		t.Errorf("message %q", got)
	}
	next("constraints")
}

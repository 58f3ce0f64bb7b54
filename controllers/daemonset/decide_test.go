package daemonset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// world is a DaemonSet, nodes and Pods in a model where plans are carried out at once. It writes down what happens.
type world struct {
	set    *appsv1.DaemonSet
	nodes  []*corev1.Node
	pods   []*corev1.Pod
	now    time.Time
	made   int
	log    strings.Builder
	broken map[string]bool          // images whose Pods do not become ready
	wait   map[string]time.Duration // backoff by node
}

func newWorld(nodes int) *world {
	labels := map[string]string{"app": "logs"}
	w := &world{
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), broken: map[string]bool{}, wait: map[string]time.Duration{},
		set: &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "logs", UID: "set"},
			Spec: appsv1.DaemonSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &appsv1.RollingUpdateDaemonSet{
					MaxUnavailable: ptr.To(intstr.FromInt32(1)), MaxSurge: ptr.To(intstr.FromInt32(0)),
				}},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "logs", Image: "v1"}}},
				},
			},
		},
	}
	for i := range nodes {
		w.nodes = append(w.nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n", i), Labels: map[string]string{}}})
	}
	return w
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) }

func (w *world) edit(what string, change func()) {
	w.say("# %s", what)
	change()
}

func (w *world) image() string { return w.set.Spec.Template.Spec.Containers[0].Image }

func (w *world) turn() bool {
	plan := Decide(Snapshot{
		Set: w.set, Nodes: w.nodes, Pods: w.pods, Hash: w.image(), Now: w.now,
		Backoff: func(node string) time.Duration { return w.wait[node] },
	})
	for _, event := range plan.Events {
		w.say("%s %s: %s", event.Type, event.Reason, event.Message)
	}
	for _, pod := range plan.Delete {
		w.say("delete %s at %s on %s", pod.Name, pod.Labels["controller-revision-hash"], nodeOf(pod))
		i := slices.Index(w.pods, pod)
		w.pods[i] = pod.DeepCopy()
		w.pods[i].DeletionTimestamp = &metav1.Time{Time: w.now}
	}
	for _, node := range plan.Create {
		pod := build(w.set, w.image(), node)
		w.made++
		pod.Name, pod.CreationTimestamp, pod.Status.Phase = fmt.Sprint("p", w.made), metav1.NewTime(w.now), corev1.PodPending
		w.pods = append(w.pods, pod)
		w.say("create %s at %s for %s", pod.Name, w.image(), node)
	}
	w.set = w.set.DeepCopy()
	w.set.Status = plan.Status
	return len(plan.Delete)+len(plan.Create) > 0
}

func (w *world) live() (changed bool) {
	w.now = w.now.Add(time.Second)
	var left []*corev1.Pod
	for _, pod := range w.pods {
		switch {
		case pod.DeletionTimestamp != nil:
			changed = true
			continue
		case pod.Status.Phase == corev1.PodPending:
			pod = pod.DeepCopy()
			pod.Spec.NodeName, pod.Status.Phase = nodeOf(pod), corev1.PodRunning
			if !w.broken[pod.Labels["controller-revision-hash"]] {
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)}}
			}
			changed = true
		}
		left = append(left, pod)
	}
	w.pods = left
	return changed
}

func (w *world) settle() {
	for range 100 {
		acted := w.turn()
		if moved := w.live(); !acted && !moved {
			break
		}
	}
	s := w.set.Status
	w.say("= desired %d, current %d, ready %d, updated %d, misscheduled %d", s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.UpdatedNumberScheduled, s.NumberMisscheduled)
}

// TestTranscripts plays the lives of sets and compares what happened with testdata.
//
// conformance: DaemonSet-FailedPodCreation
// conformance: DaemonSet-NodeSelection
// conformance: DaemonSet-Creation
// conformance: DaemonSet-RollingUpdate
func TestTranscripts(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func() *world{
		"rolling": func() *world {
			w := newWorld(3)
			w.settle()
			w.edit("a new image", func() { w.set.Spec.Template.Spec.Containers[0].Image = "v2" })
			w.settle()
			return w
		},
		"surge": func() *world {
			w := newWorld(2)
			w.set.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{
				MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0)),
			}
			w.settle()
			w.edit("a new image", func() { w.set.Spec.Template.Spec.Containers[0].Image = "v2" })
			w.settle()
			return w
		},
		"broken": func() *world {
			w := newWorld(3)
			w.settle()
			w.broken["v2"] = true
			w.edit("an image that does not start", func() { w.set.Spec.Template.Spec.Containers[0].Image = "v2" })
			w.settle()
			w.edit("one that does", func() { w.set.Spec.Template.Spec.Containers[0].Image = "v3" })
			w.settle()
			return w
		},
		"selection": func() *world {
			w := newWorld(2)
			w.set.Spec.Template.Spec.NodeSelector = map[string]string{"color": "blue"}
			w.settle()
			w.edit("n1 is blue", func() { w.nodes[1].Labels["color"] = "blue" })
			w.settle()
			w.edit("n1 is closed for new Pods, which daemons do not mind", func() {
				w.nodes[1].Spec.Taints = []corev1.Taint{{Key: "node.kubernetes.io/unschedulable", Effect: corev1.TaintEffectNoSchedule}}
			})
			w.settle()
			w.edit("n1 takes no new Pods of any kind", func() {
				w.nodes[1].Spec.Taints = []corev1.Taint{{Key: "private", Effect: corev1.TaintEffectNoSchedule}}
			})
			w.settle()
			w.edit("n1 tolerates none", func() {
				w.nodes[1].Spec.Taints = []corev1.Taint{{Key: "private", Effect: corev1.TaintEffectNoExecute}}
			})
			w.settle()
			return w
		},
		"failed": func() *world {
			w := newWorld(1)
			w.settle()
			w.edit("its Pod fails", func() {
				w.pods[0] = w.pods[0].DeepCopy()
				w.pods[0].Status.Phase = corev1.PodFailed
			})
			w.wait["n0"] = time.Second
			w.turn()
			w.edit("the backoff has passed", func() { delete(w.wait, "n0") })
			w.settle()
			return w
		},
		"node-gone": func() *world {
			w := newWorld(2)
			w.turn()
			w.edit("n1 goes before its Pod is bound", func() { w.nodes = w.nodes[:1] })
			w.settle()
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			controltest.Transcript(t, name, play().log.String())
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	w := newWorld(1000)
	w.settle()
	b.ReportAllocs()
	for b.Loop() {
		Decide(Snapshot{Set: w.set, Nodes: w.nodes, Pods: w.pods, Hash: w.image(), Now: w.now, Backoff: func(string) time.Duration { return 0 }})
	}
}

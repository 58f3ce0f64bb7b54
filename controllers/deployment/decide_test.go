package deployment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// world is a Deployment and its ReplicaSets in a model where plans are carried out at once. It writes down what happens.
type world struct {
	d    *appsv1.Deployment
	sets []*appsv1.ReplicaSet
	now  time.Time
	log  strings.Builder
	// stuck are images whose Pods never become available.
	stuck map[string]bool
}

func newWorld(replicas int32, surge, unavailable string) *world {
	labels := map[string]string{"app": "web"}
	return &world{
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), stuck: map[string]bool{},
		d: &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d", Generation: 1},
			Spec: appsv1.DeploymentSpec{
				Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
				RevisionHistoryLimit: ptr.To[int32](10), ProgressDeadlineSeconds: ptr.To[int32](600),
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.Parse(surge)), MaxUnavailable: ptr.To(intstr.Parse(unavailable)),
				}},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "v1"}}},
				},
			},
		},
	}
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) }

// edit changes the Deployment as a user does.
func (w *world) edit(what string, change func(*appsv1.Deployment)) {
	w.say("# %s", what)
	w.d = w.d.DeepCopy()
	change(w.d)
	w.d.Generation++
}

func image(rs *appsv1.ReplicaSet) string { return rs.Spec.Template.Spec.Containers[0].Image }

// turn carries one plan out and reports whether it changed anything.
func (w *world) turn() (changed bool) {
	running := map[string]int{}
	for _, rs := range w.sets {
		running[string(rs.UID)] = int(rs.Status.Replicas)
	}
	plan := Decide(Snapshot{Deployment: w.d, Sets: w.sets, Running: running, Now: w.now})
	w.d = w.d.DeepCopy()
	if plan.Create != nil {
		made := plan.Create.DeepCopy()
		made.UID, made.CreationTimestamp = types.UID(fmt.Sprint("rs", len(w.sets))), metav1.NewTime(w.now)
		w.sets = append(w.sets, made)
		w.say("create %s at %d", image(made), *made.Spec.Replicas)
	}
	for _, change := range plan.Change {
		for i, rs := range w.sets {
			if rs.Name != change.Set.Name {
				continue
			}
			before := *rs.Spec.Replicas
			w.sets[i] = rs.DeepCopy()
			w.sets[i].Spec.Replicas, w.sets[i].Annotations = &change.Replicas, change.Annotations
			if before != change.Replicas {
				w.say("scale %s from %d to %d", image(rs), before, change.Replicas)
				changed = true
			}
		}
	}
	for _, doomed := range plan.Delete {
		w.say("delete %s", image(doomed))
		for i, rs := range w.sets {
			if rs.Name == doomed.Name {
				w.sets = append(w.sets[:i:i], w.sets[i+1:]...)
				break
			}
		}
	}
	changed = changed || !equality.Semantic.DeepEqual(w.d.Status, plan.Status)
	w.d.Status = plan.Status
	if plan.Revision != "" {
		metav1.SetMetaDataAnnotation(&w.d.ObjectMeta, RevisionAnnotation, plan.Revision)
	}
	return changed || plan.Create != nil || len(plan.Delete) > 0
}

// pods lets the Pods follow what the sets ask for.
func (w *world) pods() (changed bool) {
	w.now = w.now.Add(time.Second)
	for i, rs := range w.sets {
		want := *rs.Spec.Replicas
		available := want
		if w.stuck[image(rs)] {
			available = min(want, rs.Status.AvailableReplicas)
		}
		if rs.Status.Replicas == want && rs.Status.AvailableReplicas == available {
			continue
		}
		changed = true
		w.sets[i] = rs.DeepCopy()
		w.sets[i].Status = appsv1.ReplicaSetStatus{
			Replicas: want, ReadyReplicas: available, AvailableReplicas: available, TerminatingReplicas: ptr.To[int32](0),
		}
	}
	return changed
}

// settle goes on until nothing moves any more, and says how things stand.
func (w *world) settle() {
	for range 100 {
		acted := w.turn()
		if moved := w.pods(); !acted && !moved {
			break
		}
	}
	w.stand()
}

func (w *world) stand() {
	s := w.d.Status
	w.say("= revision %s: %d replicas, %d updated, %d available, %d unavailable",
		w.d.Annotations[RevisionAnnotation], s.Replicas, s.UpdatedReplicas, s.AvailableReplicas, s.UnavailableReplicas)
	for _, c := range s.Conditions {
		w.say("  %s %s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
}

func setImage(to string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = to }
}

func setReplicas(n int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Replicas = &n }
}

// TestTranscripts plays rollouts and compares what happened with testdata.
//
// conformance: Deployment Recreate
// conformance: Deployment RollingUpdate
// conformance: Deployment RevisionHistoryLimit
// conformance: Deployment Proportional Scaling
// conformance: Deployment Rollover
func TestTranscripts(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func() *world{
		"rolling": func() *world {
			w := newWorld(10, "25%", "25%")
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			w.edit("back to the old image", setImage("v1"))
			w.settle()
			return w
		},
		"surge-only": func() *world {
			w := newWorld(3, "1", "0")
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			return w
		},
		"recreate": func() *world {
			w := newWorld(3, "1", "0")
			w.d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			return w
		},
		"rollover": func() *world {
			w := newWorld(4, "1", "1")
			w.settle()
			w.stuck["v2"] = true
			w.edit("an image that does not start", setImage("v2"))
			w.settle()
			w.edit("one that does", setImage("v3"))
			w.settle()
			return w
		},
		"proportional": func() *world {
			w := newWorld(10, "3", "2")
			w.settle()
			w.stuck["v2"] = true
			w.edit("an image that does not start", setImage("v2"))
			w.settle()
			w.edit("thirty replicas", setReplicas(30))
			w.settle()
			return w
		},
		"paused": func() *world {
			w := newWorld(2, "1", "0")
			w.settle()
			w.edit("paused, with a new image", func(d *appsv1.Deployment) { d.Spec.Paused = true; setImage("v2")(d) })
			w.settle()
			w.edit("scaled while paused", setReplicas(4))
			w.settle()
			w.edit("resumed", func(d *appsv1.Deployment) { d.Spec.Paused = false })
			w.settle()
			return w
		},
		"deadline": func() *world {
			w := newWorld(2, "1", "0")
			w.settle()
			w.stuck["v2"] = true
			w.edit("an image that does not start", setImage("v2"))
			w.settle()
			w.say("# eleven minutes later")
			w.now = w.now.Add(11 * time.Minute)
			w.settle()
			w.edit("back", setImage("v1"))
			w.settle()
			return w
		},
		"history": func() *world {
			w := newWorld(1, "1", "0")
			w.d.Spec.RevisionHistoryLimit = ptr.To[int32](1)
			for _, v := range []string{"v1", "v2", "v3", "v4"} {
				w.edit("image "+v, setImage(v))
				w.settle()
			}
			return w
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			controltest.Transcript(t, name, play().log.String())
		})
	}
}

// TestDecideChangesNothing: what it is given is shared with all other controllers.
func TestDecideChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(10, "25%", "25%")
	w.settle()
	w.edit("a new image", setImage("v2"))
	d, sets := w.d.DeepCopy(), make([]*appsv1.ReplicaSet, len(w.sets))
	for i := range w.sets {
		sets[i] = w.sets[i].DeepCopy()
	}
	Decide(Snapshot{Deployment: w.d, Sets: w.sets, Now: w.now})
	if !equality.Semantic.DeepEqual(d, w.d) {
		t.Error("the Deployment was changed")
	}
	for i := range sets {
		if !equality.Semantic.DeepEqual(sets[i], w.sets[i]) {
			t.Errorf("ReplicaSet %d was changed", i)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	w := newWorld(10, "25%", "25%")
	for i := range 11 {
		w.edit("", setImage(fmt.Sprint("v", i)))
		w.settle()
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(Snapshot{Deployment: w.d, Sets: w.sets, Now: w.now})
	}
}

package statefulset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

// world is a StatefulSet, its Pods and its claims in a model where plans are carried out at once. It writes down what happens.
type world struct {
	set    *appsv1.StatefulSet
	pods   map[string]*corev1.Pod
	claims map[string]*corev1.PersistentVolumeClaim
	now    time.Time
	made   int
	log    strings.Builder
	// broken are revisions whose Pods never become ready.
	broken map[string]bool
}

func newWorld(replicas int32) *world {
	labels := map[string]string{"app": "db"}
	return &world{
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), pods: map[string]*corev1.Pod{}, broken: map[string]bool{},
		claims: map[string]*corev1.PersistentVolumeClaim{},
		set: &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "db", UID: "set"},
			Spec: appsv1.StatefulSetSpec{
				Replicas: &replicas, ServiceName: "db", Selector: &metav1.LabelSelector{MatchLabels: labels},
				UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
					Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](0)},
				},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "db", Image: "v1"}}},
				},
			},
		},
	}
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(&w.log, format+"\n", args...) }

// edit changes the set as a user does.
func (w *world) edit(what string, change func(*appsv1.StatefulSet)) {
	w.say("# %s", what)
	w.set = w.set.DeepCopy()
	change(w.set)
	w.set.Generation++
}

// version is a revision named after its template's image.
func (w *world) version(image string) Version {
	template := w.set.Spec.Template.DeepCopy()
	template.Spec.Containers[0].Image = image
	return Version{Name: image, Template: template}
}

func (w *world) turn() (changed bool) {
	target := w.version(w.set.Spec.Template.Spec.Containers[0].Image)
	current := target
	if from := w.set.Status.CurrentRevision; from != "" {
		current = w.version(from)
	}
	s := Snapshot{Set: w.set, Current: current, Update: target, Claims: w.claims, Now: w.now}
	for _, name := range w.names() {
		s.Pods = append(s.Pods, w.pods[name])
	}
	plan := Decide(s)
	for _, claim := range plan.Reclaim {
		w.claims[claim.Name] = claim
		var kinds []string
		for _, ref := range claim.OwnerReferences {
			kinds = append(kinds, ref.Kind)
		}
		w.say("claim %s goes with %v", claim.Name, kinds)
	}
	for _, pod := range plan.Create {
		_, ordinal := member(pod.Name)
		for _, claim := range claims(w.set, ordinal) {
			if w.claims[claim.Name] == nil {
				w.claims[claim.Name] = claim
			}
		}
		w.made++
		pod = pod.DeepCopy()
		pod.UID, pod.Status.Phase = types.UID(fmt.Sprint("pod", w.made)), corev1.PodPending
		w.pods[pod.Name] = pod
		w.say("create %s at %s", pod.Name, revisionOf(pod))
	}
	for _, pod := range plan.Delete {
		dying := pod.DeepCopy()
		dying.DeletionTimestamp = &metav1.Time{Time: w.now}
		w.pods[pod.Name] = dying
		w.say("delete %s at %s", pod.Name, revisionOf(pod))
	}
	changed = len(plan.Create)+len(plan.Delete)+len(plan.Reclaim) > 0 || fmt.Sprint(plan.Status) != fmt.Sprint(w.set.Status)
	w.set = w.set.DeepCopy()
	w.set.Status = plan.Status
	return changed
}

func (w *world) names() []string {
	var names []string
	for name := range w.pods {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// live lets Pods that were created become ready, and those that were deleted go.
func (w *world) live() (changed bool) {
	w.now = w.now.Add(time.Second)
	for _, name := range w.names() {
		pod := w.pods[name].DeepCopy()
		switch {
		case pod.DeletionTimestamp != nil:
			delete(w.pods, name)
			changed = true
		case pod.Status.Phase == corev1.PodPending && !w.broken[revisionOf(pod)]:
			pod.Status.Phase = corev1.PodRunning
			pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.now)}}
			w.pods[name] = pod
			changed = true
		}
	}
	return changed
}

// settle goes on until nothing moves any more, and says how things stand.
func (w *world) settle() {
	for range 100 {
		acted := w.turn()
		if moved := w.live(); !acted && !moved {
			break
		}
	}
	s := w.set.Status
	w.say("= %d replicas, %d ready, %d at %s, %d at %s", s.Replicas, s.ReadyReplicas, s.CurrentReplicas, s.CurrentRevision, s.UpdatedReplicas, s.UpdateRevision)
}

func setImage(to string) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = to }
}

func setReplicas(n int32) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) { s.Spec.Replicas = &n }
}

// fail lets a Pod end.
func (w *world) fail(name string) {
	w.say("# %s fails", name)
	pod := w.pods[name].DeepCopy()
	pod.Status.Phase, pod.Status.Conditions = corev1.PodFailed, nil
	w.pods[name] = pod
}

// TestTranscripts plays the lives of sets and compares what happened with testdata.
//
// conformance: StatefulSet, Recreate Failed Pod
// conformance: StatefulSet, Rolling Update with Partition
func TestTranscripts(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func() *world{
		"ordered": func() *world {
			w := newWorld(3)
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			w.edit("one replica", setReplicas(1))
			w.settle()
			return w
		},
		"parallel": func() *world {
			w := newWorld(3)
			w.set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			w.edit("no replicas", setReplicas(0))
			w.settle()
			return w
		},
		"partition": func() *world {
			w := newWorld(3)
			w.set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](2)
			w.settle()
			w.edit("a new image for the last Pod only", setImage("v2"))
			w.settle()
			w.fail("db-0")
			w.settle()
			w.edit("for all", func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To[int32](0) })
			w.settle()
			return w
		},
		"max-unavailable": func() *world {
			w := newWorld(4)
			w.set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(2))
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			return w
		},
		"broken": func() *world {
			w := newWorld(2)
			w.settle()
			w.broken["v2"] = true
			w.edit("an image that does not start", setImage("v2"))
			w.settle()
			w.edit("one that does", setImage("v3"))
			w.settle()
			return w
		},
		"on-delete": func() *world {
			w := newWorld(2)
			w.set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
			w.settle()
			w.edit("a new image", setImage("v2"))
			w.settle()
			w.fail("db-1")
			w.settle()
			return w
		},
		"start-ordinal": func() *world {
			w := newWorld(2)
			w.settle()
			w.edit("start at 1", func(s *appsv1.StatefulSet) { s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1} })
			w.settle()
			return w
		},
		"claims": func() *world {
			w := newWorld(2)
			w.set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
			w.set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.DeletePersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
			}
			w.settle()
			w.edit("one replica", setReplicas(1))
			w.settle()
			w.edit("two again, while the claim is still there", setReplicas(2))
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

func TestAPodKnowsItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	w.set.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data"}, {Name: "other"}}
	pod := build(w.set, &w.set.Spec.Template, "rev", 7)
	if pod.Name != "db-7" || pod.Spec.Hostname != "db-7" || pod.Spec.Subdomain != "db" || pod.GenerateName != "db-" {
		t.Errorf("name %s, host name %s, subdomain %s", pod.Name, pod.Spec.Hostname, pod.Spec.Subdomain)
	}
	for key, want := range map[string]string{
		"statefulset.kubernetes.io/pod-name": "db-7", "apps.kubernetes.io/pod-index": "7", "controller-revision-hash": "rev", "app": "db",
	} {
		if pod.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, pod.Labels[key], want)
		}
	}
	if len(pod.Spec.Volumes) != 2 || pod.Spec.Volumes[0].PersistentVolumeClaim == nil || pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "data-db-7" {
		t.Errorf("volumes %+v", pod.Spec.Volumes)
	}
	if len(w.set.Spec.Template.Labels) != 1 {
		t.Errorf("the template was changed: %v", w.set.Spec.Template.Labels)
	}
}

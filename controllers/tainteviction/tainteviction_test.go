package tainteviction

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
)

var (
	broken = corev1.Taint{Key: "broken", Value: "yes", Effect: corev1.TaintEffectNoExecute}
	slow   = corev1.Taint{Key: "slow", Effect: corev1.TaintEffectNoExecute}
	full   = corev1.Taint{Key: "full", Effect: corev1.TaintEffectNoSchedule}
)

func tolerates(key string, seconds ...int64) corev1.Toleration {
	toleration := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	if len(seconds) > 0 {
		toleration.TolerationSeconds = ptr.To(seconds[0])
	}
	return toleration
}

func TestStay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		taints      []corev1.Taint
		tolerations []corev1.Toleration
		stay        time.Duration
		forever     bool
	}{
		{"no taints", nil, nil, 0, true},
		{"only a taint for the scheduler", []corev1.Taint{full}, nil, 0, true},
		{"not tolerated", []corev1.Taint{broken}, nil, 0, false},
		{"another one tolerated", []corev1.Taint{broken}, []corev1.Toleration{tolerates("slow")}, 0, false},
		{"tolerated", []corev1.Taint{broken}, []corev1.Toleration{tolerates("broken")}, 0, true},
		{"for a time", []corev1.Taint{broken}, []corev1.Toleration{tolerates("broken", 60)}, time.Minute, false},
		{"for less than no time", []corev1.Taint{broken}, []corev1.Toleration{tolerates("broken", -1)}, 0, false},
		{"the shortest decides", []corev1.Taint{broken, slow}, []corev1.Toleration{tolerates("slow", 5), tolerates("broken", 60)}, 5 * time.Second, false},
		{"one forever, one for a time", []corev1.Taint{broken, slow}, []corev1.Toleration{tolerates("broken", 60), tolerates("slow")}, time.Minute, false},
		{"one of two", []corev1.Taint{broken, slow}, []corev1.Toleration{tolerates("broken")}, 0, false},
		{"unused times do not count", []corev1.Taint{broken}, []corev1.Toleration{tolerates("slow", 5), tolerates("broken")}, 0, true},
	} {
		if stay, forever := Stay(test.taints, test.tolerations); stay != test.stay || forever != test.forever {
			t.Errorf("%s: %s, forever %t", test.name, stay, forever)
		}
	}
}

func TestSameNoExecute(t *testing.T) {
	t.Parallel()
	later := broken
	later.TimeAdded = &metav1.Time{Time: time.Now()}
	other := broken
	other.Value = "no"
	for _, test := range []struct {
		name string
		a, b []corev1.Taint
		same bool
	}{
		{"none", nil, []corev1.Taint{full}, true},
		{"another time", []corev1.Taint{broken}, []corev1.Taint{later}, true},
		{"another value", []corev1.Taint{broken}, []corev1.Taint{other}, false},
		{"another order", []corev1.Taint{broken, slow}, []corev1.Taint{slow, broken}, true},
		{"one more", []corev1.Taint{broken}, []corev1.Taint{slow, broken}, false},
	} {
		if sameNoExecute(test.a, test.b) != test.same || sameNoExecute(test.b, test.a) != test.same {
			t.Errorf("%s: not %t", test.name, test.same)
		}
	}
}

func pod(name string, tolerations ...corev1.Toleration) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.PodSpec{NodeName: "n", Tolerations: tolerations},
	}
}

// A taint comes: who does not tolerate it goes, marked as disrupted; others stay.
func TestTaintComes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	w := controltest.New(t, node, pod("fragile"), pod("sturdy", tolerates("broken")), pod("patient", tolerates("broken", 3600)))
	w.Run(w.Must(New(w.Set, w.Events, 2)))
	node = node.DeepCopy()
	node.Spec.Taints = []corev1.Taint{broken}
	if _, err := w.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Told("Normal TaintManagerEviction Marking for deletion Pod default/fragile")
	w.Eventually(func() string {
		if _, err := w.CoreV1().Pods("default").Get(ctx, "fragile", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "the fragile Pod is still there"
		}
		return ""
	})
	marked := false
	for _, action := range w.Fake.Actions() {
		if patch, ok := action.(k8stesting.PatchAction); ok && patch.GetSubresource() == "status" {
			marked = patch.GetName() == "fragile" && strings.Contains(string(patch.GetPatch()), "DeletionByTaintManager")
		}
	}
	if !marked {
		t.Error("the fragile Pod was not marked as disrupted")
	}
	for _, name := range []string{"sturdy", "patient"} {
		if _, err := w.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A Pod whose time runs is told so no more when the taint goes. Other changes of the taints do not give it more time.
//
// conformance: Taint, Pod Eviction on taint removal
func TestTaintGoes(t *testing.T) {
	t.Parallel()
	w := controltest.New(t)
	c := w.Must(New(w.Set, w.Events, 1))
	nodes, pods := w.Informers.Core().V1().Nodes().Informer().GetIndexer(), w.Informers.Core().V1().Pods().Informer().GetIndexer()
	patient := pod("patient", tolerates("broken", 3600), tolerates("slow", 1800))
	if err := pods.Add(patient); err != nil {
		t.Fatal(err)
	}
	look := func(taints ...corev1.Taint) time.Duration {
		t.Helper()
		if err := nodes.Update(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: taints}}); err != nil {
			t.Fatal(err)
		}
		result, err := c.Reconcile(context.Background(), types.NamespacedName{Namespace: "default", Name: "patient"})
		if err != nil {
			t.Fatal(err)
		}
		return result.After
	}
	first := look(broken)
	if first <= 1800*time.Second || first > time.Hour {
		t.Errorf("to be looked at after %s, with an hour to stay", first)
	}
	if again := look(broken, full); again > first {
		t.Errorf("another taint for the scheduler gave it more time: %s after %s", again, first)
	}
	if short := look(broken, slow); short <= 0 || short > 1800*time.Second {
		t.Errorf("to be looked at after %s, with half an hour to stay", short)
	}
	if after := look(); after != 0 {
		t.Errorf("to be looked at after %s, with nothing to wait for", after)
	}
	w.Told("Normal TaintManagerEviction Cancelling deletion of Pod default/patient")
}

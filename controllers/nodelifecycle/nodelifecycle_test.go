package nodelifecycle

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

// A node that is silent is unknown, tainted, and its Pods are not ready.
func TestSilentNode(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{NodeName: "n"}}
	controltest.Ready(pod, now)
	w := controltest.New(t, node("Ready=True"), pod)
	// With a grace of no time at all every node is silent.
	w.Run(w.Must(New(w.Set, w.Events, Config{Grace: time.Nanosecond, StartupGrace: time.Nanosecond, Workers: 1})))
	w.Told("Normal RegisteredNode Node n event: Registered Node n in Controller")
	w.Told("Normal NodeNotReady Node n status is now: NodeNotReady")
	w.Eventually(func() string {
		n, err := w.CoreV1().Nodes().Get(ctx, "n", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if got := condition(n, corev1.NodeReady).Status; got != corev1.ConditionUnknown {
			return "ready is " + string(got)
		}
		if len(n.Spec.Taints) != 2 || n.Spec.Taints[0].Key != corev1.TaintNodeUnreachable {
			return describe(n.Spec.Taints)
		}
		return ""
	})
	w.Told("Warning NodeNotReady Node is not ready")
	w.Eventually(func() string {
		p, err := w.CoreV1().Pods("default").Get(ctx, "p", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if p.Status.Conditions[0].Status != corev1.ConditionFalse {
			return "its Pod is ready"
		}
		return ""
	})
}

func TestNewNodeLosesItsTaintWhenReady(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	n := node("Ready=True")
	n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}}
	w := controltest.New(t, n)
	w.Run(w.Must(New(w.Set, w.Events, Config{Grace: time.Hour, StartupGrace: time.Hour, Workers: 1})))
	w.Eventually(func() string {
		n, err := w.CoreV1().Nodes().Get(ctx, "n", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if len(n.Spec.Taints) > 0 {
			return describe(n.Spec.Taints)
		}
		return ""
	})
}

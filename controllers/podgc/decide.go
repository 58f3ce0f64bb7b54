package podgc

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/controllers/pods"
)

// Reason is why a Pod is deleted; it is the reason label of the metrics.
type Reason string

const (
	// Terminated Pods have ended, and there are more of them than may be kept.
	Terminated Reason = "terminated"
	// Completed Pods ended on a node that is out of service.
	OutOfService Reason = "out-of-service"
	// Orphaned Pods are bound to a node that does not exist.
	Orphaned Reason = "orphaned"
	// Unscheduled Pods are being deleted and were never bound, so that no node agent ends their deletion.
	Unscheduled Reason = "unscheduled"
)

// Doomed is a Pod to delete by force, and why.
type Doomed struct {
	Pod    *corev1.Pod
	Reason Reason
}

// Oldest returns the ended Pods that are too many: evicted ones first, then by age.
func Oldest(all []*corev1.Pod, threshold int) []*corev1.Pod {
	if threshold <= 0 {
		return nil
	}
	ended := pods.Keep(all, func(p *corev1.Pod) bool { return pods.Ended(p) && p.DeletionTimestamp == nil })
	excess := len(ended) - threshold
	if excess <= 0 {
		return nil
	}
	slices.SortStableFunc(ended, func(a, b *corev1.Pod) int {
		if x, y := evicted(a), evicted(b); x != y {
			if x {
				return -1
			}
			return 1
		}
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return ended[:excess]
}

func evicted(pod *corev1.Pod) bool { return pod.Status.Reason == "Evicted" }

// Stuck returns why a Pod that is being deleted will never be let go by a node agent; "" if it will, or is not being deleted.
func Stuck(pod *corev1.Pod, node *corev1.Node) Reason {
	if pod.DeletionTimestamp == nil {
		return ""
	}
	if pod.Spec.NodeName == "" {
		return Unscheduled
	}
	if node == nil || readyNode(node) {
		return ""
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeOutOfService {
			return OutOfService
		}
	}
	return ""
}

func readyNode(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

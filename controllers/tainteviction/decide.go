package tainteviction

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Stay says how long Pods with these tolerations may stay on a Node with these taints: forever, or for a time counted from
// when the taints were first met; zero is not at all. Only taints with effect NoExecute count. Of several tolerations with
// times the shortest decides, and for each taint the first toleration that fits it.
func Stay(taints []corev1.Taint, tolerations []corev1.Toleration) (stay time.Duration, forever bool) {
	forever = true
	for i := range taints {
		if taints[i].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		toleration := toleratedBy(&taints[i], tolerations)
		if toleration == nil {
			return 0, false
		}
		if toleration.TolerationSeconds == nil {
			continue
		}
		limit := time.Duration(max(0, *toleration.TolerationSeconds)) * time.Second
		if forever || limit < stay {
			stay, forever = limit, false
		}
	}
	return stay, forever
}

func toleratedBy(taint *corev1.Taint, tolerations []corev1.Toleration) *corev1.Toleration {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Background(), taint, true) {
			return &tolerations[i]
		}
	}
	return nil
}

// sameNoExecute says whether two Nodes' taints with effect NoExecute are the same, whatever their times.
func sameNoExecute(a, b []corev1.Taint) bool {
	return covers(a, b) && covers(b, a)
}

func covers(a, b []corev1.Taint) bool {
next:
	for i := range b {
		if b[i].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		for j := range a {
			if a[j].MatchTaint(&b[i]) && a[j].Value == b[i].Value {
				continue next
			}
		}
		return false
	}
	return true
}

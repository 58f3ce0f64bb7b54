package job

import (
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Pods are counted exactly once though they may be deleted at any time by anybody: each has a finalizer. When it has ended, its UID is
// written to status.uncountedTerminatedPods, then the finalizer is removed, then the UID becomes a number (KEP-2307).

// mostUncounted is the most UIDs that a status holds.
const mostUncounted = 500

// track writes ended Pods into the plan's status and plans the removal of their finalizers.
func (c *course) track() {
	status := &c.plan.Status
	uncounted := status.UncountedTerminatedPods
	var done []int
	for _, pod := range c.Pods {
		if !c.held(pod) || !c.releasable(pod) {
			continue
		}
		c.plan.Release = append(c.plan.Release, pod)
		switch {
		case pod.Status.Phase == corev1.PodSucceeded && !c.uncountedFailed[pod.UID]:
			if indexed(c.Job) {
				if i := indexOf(pod); c.valid(pod) && !c.before.has(i) {
					done = append(done, i) // the index itself keeps it from being counted twice
				}
			} else if !c.uncountedSucceeded[pod.UID] {
				uncounted.Succeeded = append(uncounted.Succeeded, pod.UID)
			}
		case failed(c.Job, pod) || (c.plan.Finish != nil && c.plan.Finish.Type == batchv1.JobFailureTarget):
			c.trackFailed(pod)
		}
		if len(done)+len(uncounted.Succeeded)+len(uncounted.Failed) >= mostUncounted {
			c.plan.Partial = true
			break
		}
	}
	if indexed(c.Job) {
		all := c.before.with(done)
		status.CompletedIndexes, status.Succeeded = all.String(), int32(all.total())
		if c.Job.Spec.BackoffLimitPerIndex != nil {
			status.FailedIndexes = ptr.To(c.failedIndexes.String())
		}
	}
	if c.plan.Finish != nil {
		setCondition(status, *c.plan.Finish)
	}
}

// trackFailed writes a failed Pod down, unless the failure policy has it ignored.
func (c *course) trackFailed(pod *corev1.Pod) {
	if c.uncountedFailed[pod.UID] || !c.valid(pod) {
		return
	}
	action, _ := judge(c.Job, pod)
	if action != "" {
		if c.plan.Actions == nil {
			c.plan.Actions = map[batchv1.PodFailurePolicyAction]int{}
		}
		c.plan.Actions[action]++
	}
	if action != batchv1.PodFailurePolicyActionIgnore {
		uncounted := c.plan.Status.UncountedTerminatedPods
		uncounted.Failed = append(uncounted.Failed, pod.UID)
	}
}

// releasable reports whether a Pod is to be accounted for now.
func (c *course) releasable(pod *corev1.Pod) bool {
	over := c.Job.DeletionTimestamp != nil || c.plan.Finish != nil
	if !over && !failed(c.Job, pod) && pod.Status.Phase != corev1.PodSucceeded {
		return false
	}
	if heir := c.heirs[indexOf(pod)]; heir != nil && heir.UID == pod.UID && !over {
		return false
	}
	return true
}

// Settle turns uncounted Pods into numbers, whose finalizer is gone. held are the UIDs of Pods that still have it.
func Settle(status *batchv1.JobStatus, held map[types.UID]bool) {
	uncounted := status.UncountedTerminatedPods
	if uncounted == nil {
		return
	}
	settle := func(uids []types.UID, count *int32) []types.UID {
		left := slices.DeleteFunc(slices.Clone(uids), func(uid types.UID) bool { return !held[uid] })
		*count += int32(len(uids) - len(left))
		if len(left) == 0 {
			return nil
		}
		return left
	}
	status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{
		Succeeded: settle(uncounted.Succeeded, &status.Succeeded),
		Failed:    settle(uncounted.Failed, &status.Failed),
	}
}

// End makes the end of a Job final if every Pod is gone and counted; it reports whether it is.
func End(status *batchv1.JobStatus, finish *batchv1.JobCondition, now time.Time) bool {
	uncounted := status.UncountedTerminatedPods
	if finish == nil || ptr.Deref(status.Terminating, 0) > 0 || status.Active > 0 || len(uncounted.Succeeded)+len(uncounted.Failed) > 0 {
		return false
	}
	end := final(finish, now)
	setCondition(status, end)
	if end.Type == batchv1.JobComplete {
		status.CompletionTime = &metav1.Time{Time: now}
	}
	return true
}

func hasFinalizer(pod *corev1.Pod) bool {
	return slices.Contains(pod.Finalizers, batchv1.JobTrackingFinalizer)
}

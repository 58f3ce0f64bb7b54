package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// judge finds out whether the Job is over before all completions: that was decided in an earlier turn, or a
// limit is exceeded, or a policy says so.
func (c *course) judge() {
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget} {
		if decided := condition(&c.plan.Status, kind); decided != nil && decided.Status == corev1.ConditionTrue {
			c.plan.Finish = decided
			return
		}
	}
	for _, pod := range c.Pods {
		if !failed(c.Job, pod) {
			continue
		}
		if action, message := judge(c.Job, pod); action == batchv1.PodFailurePolicyActionFailJob {
			c.fail(batchv1.JobReasonPodFailurePolicy, message)
			return
		}
	}
	switch {
	case c.failed > int(*c.Job.Spec.BackoffLimit) || c.restartedTooOften():
		c.fail(batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
	case c.late():
		c.fail(batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
	case c.tooManyFailedIndexes():
		c.fail(batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
	case c.Job.Spec.BackoffLimitPerIndex != nil && len(c.failedIndexes) > 0 && c.failedIndexes.total()+c.succeededIndexes.total() >= c.completions:
		c.fail(batchv1.JobReasonFailedIndexes, "Job has failed indexes")
	default:
		if message, met := succeededByPolicy(c.Job, c.succeededIndexes, c.completions); met && indexed(c.Job) {
			c.succeed(batchv1.JobReasonSuccessPolicy, message)
		}
	}
}

func (c *course) fail(reason, message string) {
	c.plan.Finish = c.condition(batchv1.JobFailureTarget, corev1.ConditionTrue, reason, message)
}

func (c *course) succeed(reason, message string) {
	c.plan.Finish = c.condition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, reason, message)
}

// restartedTooOften counts restarts of containers where these, not Pods, are the retries.
func (c *course) restartedTooOften() bool {
	if c.Job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	restarts := int32(0)
	for _, pod := range c.Pods {
		if pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodPending {
			continue
		}
		for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for i := range statuses {
				restarts += statuses[i].RestartCount
			}
		}
	}
	if limit := *c.Job.Spec.BackoffLimit; limit > 0 {
		return restarts >= limit
	}
	return restarts > 0
}

// late reports whether the Job has been active for longer than it may, and if not, asks to look again when it will have.
func (c *course) late() bool {
	deadline, start := c.Job.Spec.ActiveDeadlineSeconds, c.Job.Status.StartTime
	if deadline == nil || c.suspended() {
		return false
	}
	if start == nil {
		start = c.plan.Status.StartTime
	}
	left := start.Add(time.Duration(*deadline) * time.Second).Sub(c.Now)
	c.again(left)
	return left <= 0
}

func (c *course) tooManyFailedIndexes() bool {
	most := c.Job.Spec.MaxFailedIndexes
	return most != nil && c.Job.Spec.BackoffLimitPerIndex != nil && c.failedIndexes.total() > int(*most)
}

func (c *course) condition(kind batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) *batchv1.JobCondition {
	now := metav1.Time{Time: c.Now}
	return &batchv1.JobCondition{Type: kind, Status: status, LastProbeTime: now, LastTransitionTime: now, Reason: reason, Message: message}
}

func condition(status *batchv1.JobStatus, kind batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

// setCondition replaces or adds a condition and reports whether that changed anything. One that is not there is as good as false.
func setCondition(status *batchv1.JobStatus, to batchv1.JobCondition) bool {
	old := condition(status, to.Type)
	switch {
	case old == nil && to.Status == corev1.ConditionFalse:
		return false
	case old == nil:
		status.Conditions = append(status.Conditions, to)
		return true
	case old.Status == to.Status && old.Reason == to.Reason && old.Message == to.Message:
		return false
	}
	*old = to
	return true
}

// ended returns the condition with which a Job has ended for good; nil if it has not.
func ended(status *batchv1.JobStatus) *batchv1.JobCondition {
	for _, kind := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed} {
		if c := condition(status, kind); c != nil && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// final turns the condition with which a Job is over into the one with which it has ended.
func final(finish *batchv1.JobCondition, now time.Time) batchv1.JobCondition {
	end := *finish
	end.Type = batchv1.JobFailed
	if finish.Type == batchv1.JobSuccessCriteriaMet {
		end.Type = batchv1.JobComplete
	}
	end.LastProbeTime, end.LastTransitionTime = metav1.Time{Time: now}, metav1.Time{Time: now}
	return end
}

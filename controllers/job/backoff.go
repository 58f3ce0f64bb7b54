package job

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The first retry of a failed Pod waits 10 s, each further one twice as long as the one before, ten minutes at most.
const (
	firstWait   = 10 * time.Second
	longestWait = 10 * time.Minute
)

// Streak is how many Pods of a Job failed in a row since one last succeeded, and when the last did.
type Streak struct {
	Failures int
	Last     time.Time
}

// wait is how long the replacement is still put off.
func (s Streak) wait(now time.Time) time.Duration {
	if s.Failures == 0 {
		return 0
	}
	delay := longestWait
	if s.Failures < 8 { // 10 s doubled six times exceeds ten minutes
		delay = min(longestWait, firstWait<<(s.Failures-1))
	}
	return max(0, s.Last.Add(delay).Sub(now))
}

// after returns the streak when the given Pods have ended too.
func (s Streak) after(succeeded, failed []*corev1.Pod, now time.Time) Streak {
	var lastSuccess time.Time
	for _, pod := range succeeded {
		if t := finishTime(pod, now); t.After(lastSuccess) {
			lastSuccess = t
		}
	}
	if !lastSuccess.IsZero() {
		s = Streak{}
	}
	times := make([]time.Time, 0, len(failed))
	for _, pod := range failed {
		times = append(times, finishTime(pod, now))
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, t := range times {
		if t.After(lastSuccess) {
			s.Failures++
			s.Last = t
		}
	}
	return s
}

// finishTime is when a Pod's last container ended; failing that, when it stopped being ready, or was deleted.
func finishTime(pod *corev1.Pod, now time.Time) time.Time {
	var last time.Time
	for i := range pod.Status.ContainerStatuses {
		ended := pod.Status.ContainerStatuses[i].State.Terminated
		if ended == nil || ended.FinishedAt.IsZero() {
			last = time.Time{}
			break
		}
		if ended.FinishedAt.After(last) {
			last = ended.FinishedAt.Time
		}
	}
	if !last.IsZero() {
		return last
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Time
		}
	}
	if pod.DeletionTimestamp != nil {
		grace := int64(0)
		if pod.DeletionGracePeriodSeconds != nil {
			grace = *pod.DeletionGracePeriodSeconds
		}
		return pod.DeletionTimestamp.Add(-time.Duration(grace) * time.Second)
	}
	return now
}

package job

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// Snapshot is all that a Plan depends on.
type Snapshot struct {
	Job *batchv1.Job
	// Pods are those that belong to the Job.
	Pods []*corev1.Pod
	// Removing are the UIDs of Pods whose finalizer was removed though the cache does not show it yet.
	Removing map[types.UID]bool
	// Unseen says that the cache does not show yet what was created or deleted last: then no Pod is created or deleted to
	// keep up the parallelism.
	Unseen bool
	Streak Streak
	Now    time.Time
}

// Plan is all that one turn does for a Job, in the order of its fields.
type Plan struct {
	// Create are Pods to create.
	Create []Birth
	// Withdraw are Pods to delete that do not count as failed: the Job is suspended or has become smaller.
	Withdraw []*corev1.Pod
	// Stop are Pods to delete because the Job is over. They count as failed, if the Job failed.
	Stop []*corev1.Pod
	// Status has the Pods that have ended in uncountedTerminatedPods. It must be written before Release.
	// Its Active does not contain Create, and contains Withdraw and Stop.
	Status batchv1.JobStatus
	// Release are Pods whose finalizer is to be removed, as they are accounted for.
	Release []*corev1.Pod
	// Finish is the condition with which the Job is over (FailureTarget or SuccessCriteriaMet), nil if it is not. It
	// becomes final when all Pods are gone and counted.
	Finish *batchv1.JobCondition
	// Partial says that more Pods have ended than the status can hold: the next turn counts on.
	Partial bool
	Streak  Streak
	Events  []Event
	// Actions counts the failed Pods that were counted now, by what the failure policy said.
	Actions map[batchv1.PodFailurePolicyAction]int
	// After is when to look again though nothing happens; 0 is never.
	After time.Duration
}

// Event is something to tell about the Job.
type Event struct{ Type, Reason, Message string }

// Birth describes a Pod to create. Index is -1 unless the Job is indexed; Replaces is the failed Pod of the same index, whose
// count of failures the new one takes over.
type Birth struct {
	Index    int
	Replaces *corev1.Pod
}

// course is a Plan in the making.
type course struct {
	Snapshot
	plan                        Plan
	active, terminating         []*corev1.Pod
	newlySucceeded, newlyFailed []*corev1.Pod
	succeeded, failed           int // including those not in the status yet
	// Of indexed Jobs:
	completions                             int
	before, succeededIndexes, failedIndexes indexes
	heirs                                   map[int]*corev1.Pod // failed Pods to be replaced, by index
	uncountedSucceeded, uncountedFailed     map[types.UID]bool
}

// Decide returns what to do for a Job now. It changes nothing that it is given.
func Decide(s Snapshot) Plan {
	c := &course{Snapshot: s}
	c.plan.Status = *s.Job.Status.DeepCopy()
	c.plan.Streak = s.Streak
	c.begin()
	c.count()
	if c.judge(); c.plan.Finish != nil {
		c.plan.Stop = c.active
	} else {
		c.carryOn()
	}
	c.track()
	return c.plan
}

// begin gives the status what every running Job has.
func (c *course) begin() {
	status := &c.plan.Status
	if status.StartTime == nil && !c.suspended() {
		status.StartTime = &metav1.Time{Time: c.Now}
	}
	if status.UncountedTerminatedPods == nil {
		status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	if c.Job.Spec.Completions != nil {
		c.completions = int(*c.Job.Spec.Completions)
	}
}

func (c *course) suspended() bool { return ptr.Deref(c.Job.Spec.Suspend, false) }

// count sorts the Pods and sums up what is and what is not in the status yet.
func (c *course) count() {
	uncounted := c.plan.Status.UncountedTerminatedPods
	c.uncountedSucceeded, c.uncountedFailed = setOf(uncounted.Succeeded), setOf(uncounted.Failed)
	ready := int32(0)
	for _, pod := range c.Pods {
		switch {
		case pods.Active(pod):
			c.active = append(c.active, pod)
			if pods.Ready(pod) {
				ready++
			}
		case pods.Terminating(pod):
			c.terminating = append(c.terminating, pod)
		}
		if !c.held(pod) || !c.valid(pod) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded && !c.uncountedSucceeded[pod.UID] {
			c.newlySucceeded = append(c.newlySucceeded, pod)
		}
		if failed(c.Job, pod) && !c.uncountedFailed[pod.UID] {
			c.newlyFailed = append(c.newlyFailed, pod)
		}
	}
	c.plan.Status.Active, c.plan.Status.Ready = int32(len(c.active)), &ready
	c.plan.Status.Terminating = ptr.To(int32(len(c.terminating)))
	c.succeeded = int(c.Job.Status.Succeeded) + len(c.newlySucceeded) + len(c.uncountedSucceeded)
	c.failed = int(c.Job.Status.Failed) + len(c.uncountedFailed)
	for _, pod := range c.newlyFailed {
		if action, _ := judge(c.Job, pod); action != batchv1.PodFailurePolicyActionIgnore {
			c.failed++
		}
	}
	c.plan.Streak = c.Streak.after(c.newlySucceeded, c.newlyFailed, c.Now)
	if indexed(c.Job) {
		c.countIndexes()
	}
}

func setOf(uids []types.UID) map[types.UID]bool {
	set := make(map[types.UID]bool, len(uids))
	for _, uid := range uids {
		set[uid] = true
	}
	return set
}

// held reports whether a Pod still has the finalizer, so that it is not accounted for yet.
func (c *course) held(pod *corev1.Pod) bool { return hasFinalizer(pod) && !c.Removing[pod.UID] }

// valid reports whether a Pod has an index that the Job has, if it must have one.
func (c *course) valid(pod *corev1.Pod) bool {
	if !indexed(c.Job) {
		return true
	}
	i := indexOf(pod)
	return i >= 0 && i < c.completions
}

// countIndexes finds the indexes that have succeeded and failed, and the Pods that others are to replace.
func (c *course) countIndexes() {
	c.before = parseIndexes(c.Job.Status.CompletedIndexes, c.completions)
	var done, lost []int
	perIndex := c.Job.Spec.BackoffLimitPerIndex != nil
	for _, pod := range c.Pods {
		if !hasFinalizer(pod) || !c.valid(pod) {
			continue
		}
		if pod.Status.Phase == corev1.PodSucceeded {
			done = append(done, indexOf(pod))
		} else if perIndex && indexFails(c.Job, pod) {
			lost = append(lost, indexOf(pod))
		}
	}
	c.succeededIndexes = c.before.with(done)
	c.succeeded = c.succeededIndexes.total()
	if perIndex {
		c.failedIndexes = parseIndexes(ptr.Deref(c.Job.Status.FailedIndexes, ""), c.completions).with(lost)
		c.findHeirs()
	}
}

// findHeirs finds, for each index that is to be tried again, its last failed Pod. That one keeps its finalizer until the
// next Pod has taken over its count of failures.
func (c *course) findHeirs() {
	busy := map[int]bool{}
	for _, pod := range c.active {
		busy[indexOf(pod)] = true
	}
	c.heirs = map[int]*corev1.Pod{}
	for _, pod := range c.newlyFailed {
		i := indexOf(pod)
		if busy[i] || c.succeededIndexes.has(i) || c.failedIndexes.has(i) {
			continue
		}
		if before := c.heirs[i]; before == nil || sum(failures(c.Job, pod)) > sum(failures(c.Job, before)) {
			c.heirs[i] = pod
		}
	}
}

func sum(a, b int) int { return a + b }

// again asks for another look after some time, or earlier.
func (c *course) again(after time.Duration) {
	if after > 0 && (c.plan.After == 0 || after < c.plan.After) {
		c.plan.After = after
	}
}

func (c *course) tell(kind, reason, message string) {
	c.plan.Events = append(c.plan.Events, Event{kind, reason, message})
}

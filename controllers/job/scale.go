package job

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// burst is the most Pods that one turn creates or deletes.
const burst = 500

// carryOn keeps as many Pods active as the Job wants, and notices when it has all its completions.
func (c *course) carryOn() {
	acted := c.Job.DeletionTimestamp == nil && !c.Unseen
	if acted {
		c.scale()
	}
	left := len(c.active) + len(c.plan.Create) - len(c.plan.Withdraw)
	done := c.succeeded > 0 && left == 0
	if c.Job.Spec.Completions != nil {
		done = c.succeeded >= c.completions && left == 0
	}
	switch {
	case done:
		c.succeed(batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
	case acted:
		c.noteSuspension()
	}
}

// noteSuspension tells when the Job was suspended or resumed; the time that it may be active counts anew then.
func (c *course) noteSuspension() {
	status := &c.plan.Status
	if c.suspended() {
		if setCondition(status, *c.condition(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended")) {
			c.tell(corev1.EventTypeNormal, "Suspended", "Job suspended")
		}
		return
	}
	resumed := c.condition(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed")
	if setCondition(status, *resumed) {
		c.tell(corev1.EventTypeNormal, "Resumed", "Job resumed")
		status.StartTime = &resumed.LastTransitionTime
	}
}

// scale plans Pods to create or to withdraw.
func (c *course) scale() {
	if c.suspended() {
		c.plan.Withdraw = c.active
		return
	}
	wanted := c.wanted()
	if surplus := c.surplus(max(0, len(c.active)-wanted)); len(surplus) > 0 {
		c.plan.Withdraw = surplus[:min(burst, len(surplus))]
		return
	}
	missing := wanted - len(c.active)
	if replacesFailedOnly(c.Job) {
		missing -= len(c.terminating)
	}
	if missing > 0 {
		c.create(min(missing, burst))
	}
}

// wanted is how many Pods should be active now.
func (c *course) wanted() int {
	parallelism := int(ptr.Deref(c.Job.Spec.Parallelism, 1))
	if c.Job.Spec.Completions == nil {
		if c.succeeded > 0 {
			return len(c.active) // a work queue: the first success means that no new worker is needed
		}
		return parallelism
	}
	return max(0, min(parallelism, c.completions-c.succeeded-c.failedIndexes.total()))
}

// surplus returns the Pods to withdraw: of indexed Jobs all that have no place or share one, and so many others as to make least.
func (c *course) surplus(least int) []*corev1.Pod {
	left := c.active
	var surplus []*corev1.Pod
	if indexed(c.Job) {
		surplus, left = c.misplaced()
	}
	if more := least - len(surplus); more > 0 {
		surplus = append(surplus, pods.ToDelete(left, nil, more, c.Now)...)
	}
	return surplus
}

// misplaced splits the active Pods into those whose index does not exist or has another Pod, and the rest.
func (c *course) misplaced() (misplaced, left []*corev1.Pod) {
	byIndex := map[int][]*corev1.Pod{}
	var order []int
	for _, pod := range c.active {
		i := indexOf(pod)
		if !c.valid(pod) {
			misplaced = append(misplaced, pod)
			continue
		}
		if len(byIndex[i]) == 0 {
			order = append(order, i)
		}
		byIndex[i] = append(byIndex[i], pod)
	}
	slices.Sort(order)
	for _, i := range order {
		twins := byIndex[i]
		extra := pods.ToDelete(twins, nil, len(twins)-1, c.Now)
		misplaced = append(misplaced, extra...)
		for _, pod := range twins {
			if !slices.Contains(extra, pod) {
				left = append(left, pod)
			}
		}
	}
	return misplaced, left
}

// create plans up to n new Pods, unless what failed before is to be waited for.
func (c *course) create(n int) {
	if c.Job.Spec.BackoffLimitPerIndex != nil {
		c.createPerIndex(n)
		return
	}
	if wait := c.plan.Streak.wait(c.Now); wait > 0 {
		c.again(wait)
		return
	}
	if !indexed(c.Job) {
		for range n {
			c.plan.Create = append(c.plan.Create, Birth{Index: -1})
		}
		return
	}
	for _, i := range c.pending(n) {
		c.plan.Create = append(c.plan.Create, Birth{Index: i})
	}
}

// createPerIndex plans new Pods for indexes that wait each for themselves.
func (c *course) createPerIndex(n int) {
	for _, i := range c.pending(c.completions) {
		if len(c.plan.Create) == n {
			return
		}
		heir := c.heirs[i]
		if heir != nil {
			streak := Streak{Failures: sum(failures(c.Job, heir)), Last: finishTime(heir, c.Now)}
			if wait := streak.wait(c.Now); wait > 0 {
				c.again(wait)
				continue
			}
		}
		c.plan.Create = append(c.plan.Create, Birth{Index: i, Replaces: heir})
	}
}

// pending returns the first n indexes that have neither ended nor a Pod.
func (c *course) pending(n int) []int {
	taken := map[int]bool{}
	for _, pod := range c.active {
		taken[indexOf(pod)] = true
	}
	if replacesFailedOnly(c.Job) {
		for _, pod := range c.terminating {
			taken[indexOf(pod)] = true
		}
	}
	var free []int
	for i := 0; i < c.completions && len(free) < n; i++ {
		if !taken[i] && !c.succeededIndexes.has(i) && !c.failedIndexes.has(i) {
			free = append(free, i)
		}
	}
	return free
}

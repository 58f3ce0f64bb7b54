package job

import (
	"context"
	"errors"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// act carries a plan out. What fails is decided about anew next turn, from what is there then; what was done is reported all the same.
func (c *controller) act(ctx context.Context, key reconcile.Key, job *batchv1.Job, members []*corev1.Pod, plan *Plan) error {
	created, err := c.create(ctx, key, job, plan.Create)
	withdrawn, withdrawErr := c.withdraw(ctx, key, job, plan.Withdraw)
	stopped, stopErr := c.delete(ctx, key, job, plan.Stop)
	err = errors.Join(err, withdrawErr, stopErr)
	if err != nil || stopped < len(plan.Stop) {
		plan.Finish = decided(&job.Status) // nothing new is final while Pods may be left
	}
	status := plan.Status
	status.Active += int32(created - withdrawn - stopped)
	*status.Terminating += int32(withdrawn + stopped)
	for _, event := range plan.Events {
		c.events.Event(job, event.Type, event.Reason, event.Message)
	}
	return errors.Join(err, c.account(ctx, job, members, plan, status))
}

// decided returns the condition with which a Job is over as the API shows it, nil if it does not.
func decided(status *batchv1.JobStatus) *batchv1.JobCondition {
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget} {
		if c := condition(status, kind); c != nil && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// account writes down which Pods have ended, releases them, and makes numbers of them: each step only after the one before is in
// the API, so that a crash between any two loses and doubles nothing.
func (c *controller) account(ctx context.Context, job *batchv1.Job, members []*corev1.Pod, plan *Plan, status batchv1.JobStatus) error {
	before := job.Status
	if needsFlush(&before, &status) {
		updated, err := c.report(ctx, job, status)
		if err != nil || updated == nil {
			return err
		}
		job = updated
	}
	for action, n := range plan.Actions {
		c.metrics.policy.WithLabelValues(string(action)).Add(float64(n))
	}
	removed := make([]bool, len(plan.Release))
	failed := pods.Join(len(plan.Release), func(i int) error {
		pod := plan.Release[i]
		c.removed(job.UID, pod.UID)
		if err := c.removeFinalizer(ctx, pod); err != nil {
			c.seen(job.UID, pod.UID)
			return err
		}
		removed[i] = true
		return nil
	})
	settled := *status.DeepCopy()
	Settle(&settled, c.stillHeld(job.UID, members, plan.Release, removed))
	isOver := failed == nil && !plan.Partial && End(&settled, plan.Finish, metav1.Now().Time)
	if !equality.Semantic.DeepEqual(job.Status, settled) {
		if updated, err := c.report(ctx, job, settled); err != nil || updated == nil {
			return errors.Join(failed, err)
		}
		c.metrics.counted(job, &before, &settled)
	}
	if isOver {
		c.tellEnd(job, &settled)
	}
	return failed
}

// needsFlush reports whether a status must be written before finalizers are removed: it holds what would be lost with them.
func needsFlush(before, after *batchv1.JobStatus) bool {
	return !equality.Semantic.DeepEqual(before.UncountedTerminatedPods, after.UncountedTerminatedPods) && hasUncounted(after) ||
		before.CompletedIndexes != after.CompletedIndexes || !equality.Semantic.DeepEqual(before.FailedIndexes, after.FailedIndexes) ||
		(decided(before) == nil) != (decided(after) == nil)
}

func hasUncounted(status *batchv1.JobStatus) bool {
	return status.UncountedTerminatedPods != nil && len(status.UncountedTerminatedPods.Succeeded)+len(status.UncountedTerminatedPods.Failed) > 0
}

// stillHeld returns the UIDs of Pods that have the finalizer even now.
func (c *controller) stillHeld(job types.UID, members, released []*corev1.Pod, removed []bool) map[types.UID]bool {
	held := map[types.UID]bool{}
	_, removing := c.recall(job)
	for _, pod := range members {
		if hasFinalizer(pod) && !removing[pod.UID] {
			held[pod.UID] = true
		}
	}
	for i, pod := range released {
		held[pod.UID] = !removed[i]
	}
	return held
}

// report writes a status; nil without error if the Job is gone.
func (c *controller) report(ctx context.Context, job *batchv1.Job, status batchv1.JobStatus) (*batchv1.Job, error) {
	updated := *job // shallow: the status is replaced whole
	updated.Status = status
	written, err := c.client.BatchV1().Jobs(job.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return written, nil
}

// tellEnd tells how a Job has ended.
func (c *controller) tellEnd(job *batchv1.Job, status *batchv1.JobStatus) {
	end := ended(status)
	c.metrics.ended(job, end)
	if end.Type == batchv1.JobFailed {
		c.events.Event(job, corev1.EventTypeWarning, end.Reason, end.Message)
		return
	}
	if job.Spec.Completions != nil && status.Succeeded > *job.Spec.Completions {
		c.events.Event(job, corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
	}
	c.events.Event(job, corev1.EventTypeNormal, "Completed", "Job completed")
}

func (c *controller) create(ctx context.Context, key reconcile.Key, job *batchv1.Job, births []Birth) (int, error) {
	if len(births) == 0 {
		return 0, nil
	}
	c.expected.Creations(key, len(births))
	made := make([]bool, len(births))
	attempted, err := pods.SlowStart(len(births), func(i int) error {
		_, err := c.write.Create(ctx, job, build(job, births[i]))
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			c.expected.Created(key) // it will not come
			return nil
		}
		made[i] = err == nil
		return err
	})
	c.expected.NotCreated(key, len(births)-attempted)
	created := 0
	for _, is := range made {
		if is {
			created++
		}
	}
	return created, err
}

// withdraw deletes Pods that are not to count as failed: their finalizer goes first, so that nobody counts them.
func (c *controller) withdraw(ctx context.Context, key reconcile.Key, job *batchv1.Job, doomed []*corev1.Pod) (int, error) {
	err := pods.Join(len(doomed), func(i int) error {
		if !hasFinalizer(doomed[i]) {
			return nil
		}
		c.removed(job.UID, doomed[i].UID)
		return c.removeFinalizer(ctx, doomed[i])
	})
	if err != nil {
		return 0, err
	}
	return c.delete(ctx, key, job, doomed)
}

func (c *controller) delete(ctx context.Context, key reconcile.Key, job *batchv1.Job, doomed []*corev1.Pod) (int, error) {
	if len(doomed) == 0 {
		return 0, nil
	}
	uids := make([]string, len(doomed))
	for i, pod := range doomed {
		uids[i] = string(pod.UID)
	}
	c.expected.Deletions(key, uids...)
	errs := pods.Parallel(len(doomed), func(i int) error {
		err := c.write.Delete(ctx, job, doomed[i])
		if err != nil {
			c.expected.Deleted(key, uids[i])
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	return len(doomed) - len(errs), errors.Join(errs...)
}

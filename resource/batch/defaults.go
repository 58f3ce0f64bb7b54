package batch

import (
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource/core"
)

func defaultJob(job *batchv1.Job) {
	spec := &job.Spec
	core.DefaultPodTemplate(&spec.Template)
	// A job that says nothing runs one pod once; one with only parallelism is a work queue.
	if spec.Completions == nil && spec.Parallelism == nil {
		setIfNil(&spec.Completions, 1)
	}
	setIfNil(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex != nil {
		setIfNil(&spec.BackoffLimit, math.MaxInt32)
	}
	setIfNil(&spec.BackoffLimit, 6)
	if labels := spec.Template.Labels; len(labels) > 0 && len(job.Labels) == 0 {
		job.Labels = labels // the same map: what prepareJob adds to the one it adds to the other
	}
	setIfNil(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	setIfNil(&spec.Suspend, false)
	setIfNil(&spec.ManualSelector, false)
	defaultFailurePolicy(spec.PodFailurePolicy)
	if spec.PodFailurePolicy != nil {
		setIfNil(&spec.PodReplacementPolicy, batchv1.Failed)
	}
	setIfNil(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
}

func defaultFailurePolicy(policy *batchv1.PodFailurePolicy) {
	if policy == nil {
		return
	}
	for i := range policy.Rules {
		for j := range policy.Rules[i].OnPodConditions {
			if pattern := &policy.Rules[i].OnPodConditions[j]; pattern.Status == "" {
				pattern.Status = corev1.ConditionTrue
			}
		}
	}
}

func defaultCronJob(cron *batchv1.CronJob) {
	core.DefaultPodTemplate(&cron.Spec.JobTemplate.Spec.Template)
	defaultFailurePolicy(cron.Spec.JobTemplate.Spec.PodFailurePolicy)
	if cron.Spec.ConcurrencyPolicy == "" {
		cron.Spec.ConcurrencyPolicy = batchv1.AllowConcurrent
	}
	setIfNil(&cron.Spec.Suspend, false)
	setIfNil(&cron.Spec.SuccessfulJobsHistoryLimit, 3)
	setIfNil(&cron.Spec.FailedJobsHistoryLimit, 1)
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

package job

import (
	"fmt"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// failed reports whether a Pod counts as failed. One that is being deleted counts at once, since it might never get to
// phase Failed, unless the Job replaces Pods only when they have really failed.
func failed(job *batchv1.Job, pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodFailed {
		return true
	}
	return !replacesFailedOnly(job) && pod.DeletionTimestamp != nil && pod.Status.Phase != corev1.PodSucceeded
}

// replacesFailedOnly reports whether a Pod is replaced only after it has ended, not as soon as it is being deleted.
func replacesFailedOnly(job *batchv1.Job) bool {
	if job.Spec.PodReplacementPolicy != nil && *job.Spec.PodReplacementPolicy == batchv1.Failed {
		return true
	}
	return job.Spec.PodFailurePolicy != nil
}

// judge returns what the Job's Pod failure policy says about a failed Pod: the action of the first rule that matches ("" if none
// does), and for FailJob the message.
func judge(job *batchv1.Job, pod *corev1.Pod) (action batchv1.PodFailurePolicyAction, message string) {
	if job.Spec.PodFailurePolicy == nil {
		return "", ""
	}
	for i := range job.Spec.PodFailurePolicy.Rules {
		rule := &job.Spec.PodFailurePolicy.Rules[i]
		if rule.OnExitCodes != nil {
			if container := exited(&pod.Status, rule.OnExitCodes); container != nil {
				return rule.Action, fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
					container.Name, pod.Namespace, pod.Name, container.State.Terminated.ExitCode, rule.Action, i)
			}
			continue
		}
		if condition := conditioned(&pod.Status, rule.OnPodConditions); condition != nil {
			return rule.Action, fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d",
				pod.Namespace, pod.Name, condition.Type, rule.Action, i)
		}
	}
	return "", ""
}

// exited returns the first container whose exit code fulfils a requirement.
func exited(status *corev1.PodStatus, requirement *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{status.ContainerStatuses, status.InitContainerStatuses} {
		for i := range statuses {
			container := &statuses[i]
			if container.State.Terminated == nil || (requirement.ContainerName != nil && *requirement.ContainerName != container.Name) {
				continue
			}
			code := container.State.Terminated.ExitCode
			in := slices.Contains(requirement.Values, code)
			if (requirement.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && in) ||
				(requirement.Operator == batchv1.PodFailurePolicyOnExitCodesOpNotIn && !in && code != 0) {
				return container
			}
		}
	}
	return nil
}

// conditioned returns the first of a Pod's conditions that one of the patterns describes.
func conditioned(status *corev1.PodStatus, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for i := range status.Conditions {
		for _, pattern := range patterns {
			if condition := &status.Conditions[i]; pattern.Type == condition.Type && pattern.Status == condition.Status {
				return condition
			}
		}
	}
	return nil
}

// succeededByPolicy returns which rule of the Job's success policy the succeeded indexes fulfil, as the condition's message.
func succeededByPolicy(job *batchv1.Job, succeeded indexes, completions int) (message string, met bool) {
	if job.Spec.SuccessPolicy == nil {
		return "", false
	}
	for i, rule := range job.Spec.SuccessPolicy.Rules {
		matched, enough := succeeded.total(), 0
		if rule.SucceededIndexes != nil {
			wanted := parseIndexes(*rule.SucceededIndexes, completions)
			matched, enough = succeeded.common(wanted), wanted.total()
		}
		if rule.SucceededCount != nil {
			enough = int(*rule.SucceededCount)
		}
		if (rule.SucceededIndexes != nil || rule.SucceededCount != nil) && matched >= enough {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}

// failures returns how many failures of an index its Pod stands at the end of, counted and ignored ones, when it has failed itself.
// The numbers travel from Pod to Pod in annotations, so that no status must hold one for each index.
func failures(job *batchv1.Job, pod *corev1.Pod) (counted, ignored int) {
	counted = number(pod.Annotations[batchv1.JobIndexFailureCountAnnotation])
	ignored = number(pod.Annotations[ignoredCountAnnotation])
	if action, _ := judge(job, pod); action == batchv1.PodFailurePolicyActionIgnore {
		return counted, ignored + 1
	}
	return counted + 1, ignored
}

// ignoredCountAnnotation is internal to the controller: failures that the failure policy ignores, which only lengthen the backoff.
const ignoredCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count"

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// indexFails reports whether a failed Pod means that its index is not tried again.
func indexFails(job *batchv1.Job, pod *corev1.Pod) bool {
	if !failed(job, pod) {
		return false
	}
	if action, _ := judge(job, pod); action == batchv1.PodFailurePolicyActionFailIndex {
		return true
	}
	counted, _ := failures(job, pod)
	return counted > int(*job.Spec.BackoffLimitPerIndex)
}

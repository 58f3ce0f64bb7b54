package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Bounds of indexed jobs: their status lists indexes (KEP-2214, KEP-3850).
const (
	maxIndexedParallelism = 100_000
	maxTrackedCompletions = 100_000
	maxLargeParallelism   = 10_000
	maxManagedBy          = 63
)

var (
	metaPath   = field.NewPath("metadata")
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

func validateJob(_ *resource.Request, job *batchv1.Job) field.ErrorList {
	errs := generatedSelector(job)
	errs = append(errs, jobWithSelector(&job.Spec, specPath)...)
	if indexed(&job.Spec) && job.Spec.Completions != nil && *job.Spec.Completions > 0 {
		host := fmt.Sprintf("%s-%d", job.Name, *job.Spec.Completions-1)
		if len(validation.IsDNS1123Label(host)) > 0 {
			errs = append(errs, field.Invalid(metaPath.Child("name"), host, "will not able to create pod with invalid DNS label: "+host))
		}
	}
	return errs
}

func indexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}

// generatedSelector checks that a job's pods can be no other job's, unless its author has taken care of that.
func generatedSelector(job *batchv1.Job) field.ErrorList {
	if job.Spec.ManualSelector != nil && *job.Spec.ManualSelector || job.Spec.Selector == nil {
		return nil
	}
	var errs field.ErrorList
	if job.UID == "" {
		errs = append(errs, field.Required(metaPath.Child("uid"), ""))
	}
	path := specPath.Child("template", "metadata", "labels")
	for _, want := range []struct{ key, value string }{
		{"controller-uid", string(job.UID)}, {"job-name", job.Name},
		{batchv1.ControllerUidLabel, string(job.UID)}, {batchv1.JobNameLabel, job.Name},
	} {
		switch value, ok := job.Spec.Template.Labels[want.key]; {
		case !ok:
			errs = append(errs, field.Required(path.Key(want.key), fmt.Sprintf("must be '%s'", want.value)))
		case value != want.value:
			errs = append(errs, field.Invalid(path.Key(want.key), job.Spec.Template.Labels, fmt.Sprintf("must be '%s'", want.value)))
		}
	}
	own := labels.Set{
		"controller-uid": string(job.UID), "job-name": job.Name,
		batchv1.ControllerUidLabel: string(job.UID), batchv1.JobNameLabel: job.Name,
	}
	if selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector); err == nil && !selector.Matches(own) {
		errs = append(errs, field.Invalid(specPath.Child("selector"), job.Spec.Selector, "`selector` not auto-generated"))
	}
	return errs
}

// jobWithSelector checks the spec of a job itself, as opposed to that in a CronJob.
func jobWithSelector(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := jobSpec(spec, path)
	if spec.Selector == nil {
		errs = append(errs, field.Required(path.Child("selector"), ""))
	} else {
		errs = append(errs, core.LabelSelector(spec.Selector, path.Child("selector"))...)
	}
	if selector, err := metav1.LabelSelectorAsSelector(spec.Selector); err == nil && !selector.Matches(labels.Set(spec.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), spec.Template.Labels, "`selector` does not match template `labels`"))
	}
	return errs
}

func jobSpec(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := nonNegative(path,
		count{"parallelism", spec.Parallelism}, count{"completions", spec.Completions}, count{"backoffLimit", spec.BackoffLimit},
		count{"ttlSecondsAfterFinished", spec.TTLSecondsAfterFinished}, count{"backoffLimitPerIndex", spec.BackoffLimitPerIndex},
		count{"maxFailedIndexes", spec.MaxFailedIndexes},
	)
	if spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, core.NonNegative(*spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	}
	if spec.MaxFailedIndexes != nil && spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if spec.ManagedBy != nil {
		errs = append(errs, validation.IsDomainPrefixedPath(path.Child("managedBy"), *spec.ManagedBy)...)
		if len(*spec.ManagedBy) > maxManagedBy {
			errs = append(errs, field.TooLong(path.Child("managedBy"), *spec.ManagedBy, maxManagedBy))
		}
	}
	errs = append(errs, completionMode(spec, path)...)
	if spec.PodFailurePolicy != nil {
		errs = append(errs, failurePolicy(spec, path.Child("podFailurePolicy"))...)
	}
	if spec.SuccessPolicy != nil {
		if indexed(spec) {
			errs = append(errs, successPolicy(spec, path.Child("successPolicy"))...)
		} else {
			errs = append(errs, field.Invalid(path.Child("successPolicy"), *spec.SuccessPolicy, "requires indexed completion mode"))
		}
	}
	if policy := spec.PodReplacementPolicy; policy != nil {
		allowed := []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
		if spec.PodFailurePolicy != nil {
			allowed = allowed[:1]
		}
		errs = append(errs, core.OneOf(*policy, path.Child("podReplacementPolicy"), allowed...)...)
	}
	errs = append(errs, core.ValidatePodTemplate(&spec.Template, path.Child("template"))...)
	return append(errs, restartPolicy(spec, path.Child("template", "spec", "restartPolicy"))...)
}

// restartPolicy: pods of jobs come to an end.
func restartPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	policy := spec.Template.Spec.RestartPolicy
	switch policy {
	case "", corev1.RestartPolicyAlways:
		errs = append(errs, field.Required(path, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)))
	case corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	default:
		errs = append(errs, field.NotSupported(path, policy, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}))
	}
	if spec.PodFailurePolicy != nil && policy != corev1.RestartPolicyNever {
		errs = append(errs, field.Invalid(path, policy, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever)))
	}
	return errs
}

// completionMode checks what indexed jobs must have, and others must not.
func completionMode(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := core.OneOfIfSet(spec.CompletionMode, path.Child("completionMode"), batchv1.IndexedCompletion, batchv1.NonIndexedCompletion)
	if mode := ptr.Deref(spec.CompletionMode, batchv1.NonIndexedCompletion); mode == batchv1.NonIndexedCompletion {
		for _, c := range []count{{"backoffLimitPerIndex", spec.BackoffLimitPerIndex}, {"maxFailedIndexes", spec.MaxFailedIndexes}} {
			if c.value != nil {
				errs = append(errs, field.Invalid(path.Child(c.name), *c.value, "requires indexed completion mode"))
			}
		}
	}
	if !indexed(spec) {
		return errs
	}
	if spec.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), "when completion mode is "+string(batchv1.IndexedCompletion)))
	}
	if p := spec.Parallelism; p != nil && *p > maxIndexedParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *p,
			fmt.Sprintf("must be less than or equal to %d when completion mode is %s", maxIndexedParallelism, batchv1.IndexedCompletion)))
	}
	if spec.Completions == nil {
		return errs
	}
	if most := spec.MaxFailedIndexes; most != nil && *most > *spec.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *most, "must be less than or equal to completions"))
	}
	if spec.BackoffLimitPerIndex == nil || *spec.Completions <= maxTrackedCompletions {
		return errs
	}
	const large = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	switch most := spec.MaxFailedIndexes; {
	case most == nil:
		errs = append(errs, field.Required(path.Child("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", maxTrackedCompletions)))
	case *most > maxLargeParallelism:
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *most, fmt.Sprintf(large, maxLargeParallelism, maxTrackedCompletions)))
	}
	if p := spec.Parallelism; p != nil && *p > maxLargeParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *p, fmt.Sprintf(large, maxLargeParallelism, maxTrackedCompletions)))
	}
	return errs
}

// count is a number that may be left out.
type count struct {
	name  string
	value *int32
}

func nonNegative(path *field.Path, counts ...count) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counts {
		if c.value != nil {
			errs = append(errs, core.NonNegative(*c.value, path.Child(c.name))...)
		}
	}
	return errs
}

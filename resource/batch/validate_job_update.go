package batch

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// validateJobUpdate: what a job's pods are made from is fixed, except where to run while it has never started.
func validateJobUpdate(_ *resource.Request, job, old *batchv1.Job) field.ErrorList {
	now, before := &job.Spec, &old.Spec
	errs := jobWithSelector(now, specPath)
	errs = append(errs, completionsUpdate(now, before)...)
	errs = append(errs, core.Immutable(now.Selector, before.Selector, specPath.Child("selector"))...)
	errs = append(errs, templateUpdate(job, old)...)
	errs = append(errs, core.Immutable(now.CompletionMode, before.CompletionMode, specPath.Child("completionMode"))...)
	errs = append(errs, core.Immutable(now.PodFailurePolicy, before.PodFailurePolicy, specPath.Child("podFailurePolicy"))...)
	errs = append(errs, core.Immutable(now.BackoffLimitPerIndex, before.BackoffLimitPerIndex, specPath.Child("backoffLimitPerIndex"))...)
	errs = append(errs, core.Immutable(now.ManagedBy, before.ManagedBy, specPath.Child("managedBy"))...)
	return append(errs, core.Immutable(now.SuccessPolicy, before.SuccessPolicy, specPath.Child("successPolicy"))...)
}

// completionsUpdate lets an indexed job grow and shrink together with its parallelism (KEP-3715).
func completionsUpdate(now, old *batchv1.JobSpec) field.ErrorList {
	path := specPath.Child("completions")
	if !indexed(now) {
		return core.Immutable(now.Completions, old.Completions, path)
	}
	if ptr.Equal(now.Completions, old.Completions) || ptr.Equal(now.Completions, now.Parallelism) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, now.Completions, fmt.Sprintf("can only be modified in tandem with %s", specPath.Child("parallelism")))}
}

func templateUpdate(job, old *batchv1.Job) field.ErrorList {
	template, path := old.Spec.Template.DeepCopy(), specPath.Child("template")
	if ptr.Deref(old.Spec.Suspend, false) && old.Status.StartTime == nil {
		now := &job.Spec.Template
		takeDirectives(template, now)
	}
	if apiequality.Semantic.DeepEqual(job.Spec.Template, *template) {
		return nil
	}
	return core.Immutable(job.Spec.Template, *template, path)
}

// takeDirectives copies what says where pods run (KEP-2926).
func takeDirectives(template, from *corev1.PodTemplateSpec) {
	template.Annotations, template.Labels = from.Annotations, from.Labels
	template.Spec.NodeSelector, template.Spec.Tolerations = from.Spec.NodeSelector, from.Spec.Tolerations
	template.Spec.SchedulingGates = from.Spec.SchedulingGates
	var affinity *corev1.NodeAffinity
	if from.Spec.Affinity != nil {
		affinity = from.Spec.Affinity.NodeAffinity
	}
	switch {
	case template.Spec.Affinity != nil:
		template.Spec.Affinity.NodeAffinity = affinity
	case affinity != nil:
		template.Spec.Affinity = &corev1.Affinity{NodeAffinity: affinity}
	}
	// An affinity without any rule is none.
	if from.Spec.Affinity != nil && template.Spec.Affinity == nil {
		template.Spec.Affinity = &corev1.Affinity{}
	}
	if template.Spec.Affinity != nil && from.Spec.Affinity == nil && *template.Spec.Affinity == (corev1.Affinity{}) {
		template.Spec.Affinity = nil
	}
}

func warnJob(_ *resource.Request, job, old *batchv1.Job) []string {
	var before *corev1.PodTemplateSpec
	var warnings []string
	if old != nil {
		before = &old.Spec.Template
	} else {
		warnings = core.WarnName(job.Name)
	}
	const many = 100_000
	if job.Spec.Completions != nil && job.Spec.Parallelism != nil && indexed(&job.Spec) &&
		*job.Spec.Completions > many && *job.Spec.Parallelism > maxLargeParallelism {
		warnings = append(warnings, "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "+
			"Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
	return append(warnings, core.WarnTemplate(&job.Spec.Template, before, specPath.Child("template"))...)
}

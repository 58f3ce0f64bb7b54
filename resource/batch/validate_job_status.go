package batch

import (
	"math"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func has(status *batchv1.JobStatus, kind batchv1.JobConditionType) bool {
	return slices.ContainsFunc(status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

// validateJobStatus holds whoever runs a job to what its readers rely on (KEP-4368).
func validateJobStatus(_ *resource.Request, job, old *batchv1.Job) field.ErrorList {
	s := &job.Status
	errs := core.NonNegative(s.Active, statusPath.Child("active"))
	errs = append(errs, core.NonNegative(s.Succeeded, statusPath.Child("succeeded"))...)
	errs = append(errs, core.NonNegative(s.Failed, statusPath.Child("failed"))...)
	errs = append(errs, nonNegative(statusPath, count{"ready", s.Ready}, count{"terminating", s.Terminating})...)
	complete, failed := has(s, batchv1.JobComplete), has(s, batchv1.JobFailed)
	errs = append(errs, exclusive(s)...)
	switch at := statusPath.Child("completionTime"); {
	case complete && s.CompletionTime == nil:
		errs = append(errs, field.Required(at, "completionTime is required for Complete jobs"))
	case !complete && s.CompletionTime != nil:
		errs = append(errs, field.Invalid(at, s.CompletionTime, "cannot set completionTime when there is no Complete=True condition"))
	case complete && s.StartTime != nil && s.CompletionTime.Before(s.StartTime):
		errs = append(errs, field.Invalid(at, s.CompletionTime, "completionTime cannot be set before startTime"))
	}
	if (complete || failed) && s.Active > 0 {
		errs = append(errs, field.Invalid(statusPath.Child("active"), s.Active, "active>0 is invalid for finished job"))
	}
	errs = append(errs, indexLists(&job.Spec, s)...)
	return append(errs, statusUpdate(job, old)...)
}

// exclusive: a job does not end in two ways.
func exclusive(s *batchv1.JobStatus) field.ErrorList {
	var errs field.ErrorList
	path := statusPath.Child("conditions")
	for _, pair := range []struct {
		a, b batchv1.JobConditionType
		text string
	}{
		{batchv1.JobComplete, batchv1.JobFailed, "cannot set Complete=True and Failed=true conditions"},
		{batchv1.JobComplete, batchv1.JobFailureTarget, "cannot set Complete=True and FailureTarget=true conditions"},
		{batchv1.JobSuccessCriteriaMet, batchv1.JobFailed, "cannot set Failed=True and SuccessCriteriaMet=true conditions"},
		{batchv1.JobSuccessCriteriaMet, batchv1.JobFailureTarget, "cannot set FailureTarget=True and SuccessCriteriaMet=true conditions"},
	} {
		if has(s, pair.a) && has(s, pair.b) {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, pair.text))
		}
	}
	return errs
}

func indexLists(spec *batchv1.JobSpec, s *batchv1.JobStatus) field.ErrorList {
	if !indexed(spec) {
		return nil
	}
	var errs field.ErrorList
	all := ptr.Deref(spec.Completions, math.MaxInt32)
	if _, err := countIndexes(s.CompletedIndexes, all); err != nil {
		errs = append(errs, field.Invalid(statusPath.Child("completedIndexes"), s.CompletedIndexes, "error parsing completedIndexes: "+err.Error()))
	}
	if s.FailedIndexes != nil {
		if _, err := countIndexes(*s.FailedIndexes, all); err != nil {
			errs = append(errs, field.Invalid(statusPath.Child("failedIndexes"), *s.FailedIndexes, "error parsing failedIndexes: "+err.Error()))
		}
	}
	return errs
}

// statusUpdate: an end is an end, and a job that is not suspended has started when it has.
func statusUpdate(job, old *batchv1.Job) field.ErrorList {
	var errs field.ErrorList
	now, before := &job.Status, &old.Status
	path := statusPath.Child("conditions")
	for _, kind := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if has(before, kind) && !has(now, kind) {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, "cannot disable the terminal "+string(kind)+"=True condition"))
		}
	}
	if ptr.Deref(job.Spec.Suspend, false) || before.StartTime == nil {
		return errs
	}
	switch at := statusPath.Child("startTime"); {
	case now.StartTime == nil:
		errs = append(errs, field.Required(at, "startTime cannot be removed for unsuspended job"))
	case !now.StartTime.Equal(before.StartTime) && !has(before, batchv1.JobSuspended):
		errs = append(errs, field.Required(at, "startTime cannot be modified for unsuspended job"))
	}
	if before.CompletionTime != nil && !now.CompletionTime.Equal(before.CompletionTime) {
		errs = append(errs, field.Invalid(statusPath.Child("completionTime"), now.CompletionTime, "field is immutable"))
	}
	return errs
}

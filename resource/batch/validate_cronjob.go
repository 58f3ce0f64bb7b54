package batch

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// maxCronJobName leaves room for the eleven characters that a job's name has beyond that of its CronJob.
const maxCronJobName = 63 - 11

func validateCronJob(_ *resource.Request, c *batchv1.CronJob) field.ErrorList {
	errs := cronJobSpec(&c.Spec, false)
	if len(c.Name) > maxCronJobName {
		errs = append(errs, field.Invalid(metaPath.Child("name"), c.Name, "must be no more than 52 characters"))
	}
	return errs
}

func validateCronJobUpdate(_ *resource.Request, c, old *batchv1.CronJob) field.ErrorList {
	return cronJobSpec(&c.Spec, strings.Contains(old.Spec.Schedule, "TZ"))
}

// cronJobSpec checks a spec; zoned says that the schedule may name a time zone, as one stored long ago did.
func cronJobSpec(spec *batchv1.CronJobSpec, zoned bool) field.ErrorList {
	var errs field.ErrorList
	if spec.Schedule == "" {
		errs = append(errs, field.Required(specPath.Child("schedule"), ""))
	} else {
		errs = append(errs, schedule(spec, zoned, specPath.Child("schedule"))...)
	}
	if spec.StartingDeadlineSeconds != nil {
		errs = append(errs, core.NonNegative(*spec.StartingDeadlineSeconds, specPath.Child("startingDeadlineSeconds"))...)
	}
	errs = append(errs, timeZone(spec.TimeZone, specPath.Child("timeZone"))...)
	errs = append(errs, core.OneOf(spec.ConcurrencyPolicy, specPath.Child("concurrencyPolicy"),
		batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)...)
	template := specPath.Child("jobTemplate", "spec")
	errs = append(errs, jobSpec(&spec.JobTemplate.Spec, template)...)
	if selector := spec.JobTemplate.Spec.Selector; selector != nil {
		errs = append(errs, field.Invalid(template.Child("selector"), selector, "`selector` will be auto-generated"))
	}
	if manual := spec.JobTemplate.Spec.ManualSelector; manual != nil && *manual {
		errs = append(errs, field.NotSupported(template.Child("manualSelector"), *manual, []string{"nil", "false"}))
	}
	return append(errs, nonNegative(specPath, count{"successfulJobsHistoryLimit", spec.SuccessfulJobsHistoryLimit},
		count{"failedJobsHistoryLimit", spec.FailedJobsHistoryLimit})...)
}

func schedule(spec *batchv1.CronJobSpec, zoned bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if strings.Contains(spec.Schedule, "TZ") {
		switch {
		case spec.TimeZone != nil:
			errs = append(errs, field.Invalid(path, spec.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
		case !zoned:
			errs = append(errs, field.Invalid(path, spec.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
		}
	}
	if _, err := cron.ParseStandard(spec.Schedule); err != nil {
		errs = append(errs, field.Invalid(path, spec.Schedule, err.Error()))
	}
	return errs
}

func timeZone(zone *string, path *field.Path) field.ErrorList {
	if zone == nil {
		return nil
	}
	switch {
	case *zone == "":
		return field.ErrorList{field.Invalid(path, *zone, "timeZone must be nil or non-empty string")}
	case strings.EqualFold(*zone, "Local"):
		return field.ErrorList{field.Invalid(path, *zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")}
	}
	if _, err := time.LoadLocation(*zone); err != nil {
		return field.ErrorList{field.Invalid(path, *zone, err.Error())}
	}
	return nil
}

func warnCronJob(_ *resource.Request, c, old *batchv1.CronJob) []string {
	var before *corev1.PodTemplateSpec
	var warnings []string
	if old != nil {
		before = &old.Spec.JobTemplate.Spec.Template
	} else {
		warnings = core.WarnName(c.Name)
	}
	warnings = append(warnings, core.WarnTemplate(&c.Spec.JobTemplate.Spec.Template, before, specPath.Child("jobTemplate", "spec", "template"))...)
	if strings.Contains(c.Spec.Schedule, "TZ") {
		warnings = append(warnings, `CRON_TZ or TZ used in spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details`)
	}
	return warnings
}

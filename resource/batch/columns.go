package batch

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func jobColumns() []resource.Column[*batchv1.Job] {
	columns := append([]resource.Column[*batchv1.Job]{
		resource.Name[*batchv1.Job](),
		resource.Text("Status", "Status of the job.", jobStatus),
		resource.Text("Completions", batchv1.JobStatus{}.SwaggerDoc()["succeeded"], completions),
		resource.Text("Duration", "Time required to complete the job.", jobDuration),
		resource.Age[*batchv1.Job](),
	}, core.TemplateColumns(func(j *batchv1.Job) *corev1.PodSpec { return &j.Spec.Template.Spec })...)
	return append(columns, resource.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"],
		func(j *batchv1.Job) string { return metav1.FormatLabelSelector(j.Spec.Selector) }))
}

func jobStatus(job *batchv1.Job) string {
	is := func(kind batchv1.JobConditionType) bool {
		return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Type == kind && c.Status == corev1.ConditionTrue
		})
	}
	switch {
	case is(batchv1.JobComplete):
		return "Complete"
	case is(batchv1.JobFailed):
		return "Failed"
	case job.DeletionTimestamp != nil:
		return "Terminating"
	case is(batchv1.JobSuspended):
		return "Suspended"
	case is(batchv1.JobFailureTarget):
		return "FailureTarget"
	case is(batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func completions(job *batchv1.Job) string {
	if job.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", job.Status.Succeeded, *job.Spec.Completions)
	}
	if parallelism := ptr.Deref(job.Spec.Parallelism, 0); parallelism > 1 {
		return fmt.Sprintf("%d/1 of %d", job.Status.Succeeded, parallelism)
	}
	return fmt.Sprintf("%d/1", job.Status.Succeeded)
}

func jobDuration(job *batchv1.Job) string {
	switch {
	case job.Status.StartTime == nil:
		return ""
	case job.Status.CompletionTime == nil:
		return duration.HumanDuration(time.Since(job.Status.StartTime.Time))
	}
	return duration.HumanDuration(job.Status.CompletionTime.Sub(job.Status.StartTime.Time))
}

func cronJobColumns() []resource.Column[*batchv1.CronJob] {
	doc := batchv1.CronJobSpec{}.SwaggerDoc()
	columns := append([]resource.Column[*batchv1.CronJob]{
		resource.Name[*batchv1.CronJob](),
		resource.Text("Schedule", doc["schedule"], func(c *batchv1.CronJob) string { return c.Spec.Schedule }),
		resource.Text("Timezone", doc["timeZone"], func(c *batchv1.CronJob) string { return ptr.Deref(c.Spec.TimeZone, "<none>") }),
		// Upstream calls this a boolean and sends words; kubectl prints them.
		{Name: "Suspend", Type: "boolean", Description: doc["suspend"], Value: func(c *batchv1.CronJob) any {
			switch {
			case c.Spec.Suspend == nil:
				return "<unset>"
			case *c.Spec.Suspend:
				return "True"
			}
			return "False"
		}},
		resource.Number("Active", batchv1.CronJobStatus{}.SwaggerDoc()["active"], func(c *batchv1.CronJob) int64 { return int64(len(c.Status.Active)) }),
		resource.Text("Last Schedule", batchv1.CronJobStatus{}.SwaggerDoc()["lastScheduleTime"], func(c *batchv1.CronJob) string {
			if c.Status.LastScheduleTime == nil {
				return "<none>"
			}
			return resource.Since(*c.Status.LastScheduleTime)
		}),
		resource.Age[*batchv1.CronJob](),
	}, core.TemplateColumns(func(c *batchv1.CronJob) *corev1.PodSpec { return &c.Spec.JobTemplate.Spec.Template.Spec })...)
	return append(columns, resource.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"],
		func(c *batchv1.CronJob) string { return metav1.FormatLabelSelector(c.Spec.JobTemplate.Spec.Selector) }))
}

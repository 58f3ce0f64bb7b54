package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/controllers/own"
)

// Snapshot is all that a Plan depends on.
type Snapshot struct {
	CronJob *batchv1.CronJob
	// Jobs are those that the CronJob controls.
	Jobs []*batchv1.Job
	// Missing are Jobs in status.active that do not exist, by UID.
	Missing map[types.UID]bool
	Now     time.Time
}

// Plan is all that one turn does for a CronJob, in the order of its fields.
type Plan struct {
	// History are finished Jobs beyond the limits, to delete.
	History []*batchv1.Job
	Events  []Event
	// Replace are running Jobs, to delete before Create.
	Replace []corev1.ObjectReference
	// Create is the Job to start now; its name is the same for the same time, so that none is started twice.
	Create *batchv1.Job
	// Scheduled is the time that Create is for.
	Scheduled time.Time
	// Status is what the status becomes; a created Job is added to it.
	Status batchv1.CronJobStatus
	// After is when the next Job is due; 0 if none is.
	After time.Duration
}

// Event is something to tell about the CronJob.
type Event struct{ Type, Reason, Message string }

// decision is a Plan in the making.
type decision struct {
	Snapshot
	plan Plan
}

// Decide returns what to do for a CronJob now. It changes nothing that it is given.
func Decide(s Snapshot) Plan {
	d := &decision{Snapshot: s, plan: Plan{Status: *s.CronJob.Status.DeepCopy()}}
	d.follow()
	d.prune()
	if s.CronJob.DeletionTimestamp == nil {
		d.start()
	}
	return d.plan
}

func (d *decision) tell(kind, reason, format string, args ...any) {
	d.plan.Events = append(d.plan.Events, Event{kind, reason, fmt.Sprintf(format, args...)})
}

// follow brings status.active and the last success up to what became of the Jobs.
func (d *decision) follow() {
	status := &d.plan.Status
	for _, job := range d.Jobs {
		listed := active(status, job.UID)
		end := finished(job)
		switch {
		case !listed && end == "":
			d.tell(corev1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", job.Name)
		case listed && end != "":
			status.Active = slices.DeleteFunc(status.Active, func(r corev1.ObjectReference) bool { return r.UID == job.UID })
			d.tell(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", job.Name, end)
		}
		if done := job.Status.CompletionTime; end == batchv1.JobComplete && done != nil {
			if status.LastSuccessfulTime == nil || done.After(status.LastSuccessfulTime.Time) {
				status.LastSuccessfulTime = done.DeepCopy()
			}
		}
	}
	for _, ref := range d.CronJob.Status.Active {
		if d.Missing[ref.UID] {
			d.tell(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", ref.Name)
			status.Active = slices.DeleteFunc(status.Active, func(r corev1.ObjectReference) bool { return r.UID == ref.UID })
		}
	}
	if len(status.Active) == 0 {
		status.Active = nil
	}
}

func active(status *batchv1.CronJobStatus, uid types.UID) bool {
	return slices.ContainsFunc(status.Active, func(r corev1.ObjectReference) bool { return r.UID == uid })
}

// finished returns the condition with which a Job ended, "" if it has not.
func finished(job *batchv1.Job) batchv1.JobConditionType {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.Type
		}
	}
	return ""
}

// prune finds the oldest finished Jobs beyond the history limits.
func (d *decision) prune() {
	d.pruneEnded(batchv1.JobFailed, d.CronJob.Spec.FailedJobsHistoryLimit)
	d.pruneEnded(batchv1.JobComplete, d.CronJob.Spec.SuccessfulJobsHistoryLimit)
}

func (d *decision) pruneEnded(end batchv1.JobConditionType, limit *int32) {
	if limit == nil {
		return
	}
	var jobs []*batchv1.Job
	for _, job := range d.Jobs {
		if finished(job) == end && job.DeletionTimestamp == nil {
			jobs = append(jobs, job)
		}
	}
	if excess := len(jobs) - int(*limit); excess > 0 {
		slices.SortStableFunc(jobs, older)
		d.plan.History = append(d.plan.History, jobs[:excess]...)
	}
}

// older orders Jobs by start; those that never started come last.
func older(a, b *batchv1.Job) int {
	x, y := a.Status.StartTime, b.Status.StartTime
	switch {
	case x == nil && y != nil:
		return 1
	case x != nil && y == nil:
		return -1
	case x != nil && !x.Equal(y):
		return x.Compare(y.Time)
	}
	return cmp.Compare(a.Name, b.Name)
}

// start plans a Job if one is due and may run.
func (d *decision) start() {
	c := d.CronJob
	location, err := zone(c)
	if err != nil {
		d.tell(corev1.EventTypeWarning, "UnknownTimeZone", "invalid timeZone: %q: %s", *c.Spec.TimeZone, err)
		return
	}
	if c.Spec.Suspend != nil && *c.Spec.Suspend {
		return
	}
	times, err := schedule(c)
	if err != nil {
		d.tell(corev1.EventTypeWarning, "UnparseableSchedule", "unparseable schedule: %q : %s", c.Spec.Schedule, err)
		return
	}
	if next := times.Next(d.Now); !next.IsZero() {
		d.plan.After = next.Sub(d.Now) + 100*time.Millisecond // a little late rather than a little early
	}
	at, missed, err := due(c, times, d.Now)
	if err != nil {
		d.tell(corev1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", c.Spec.Schedule, err)
		return
	}
	if at.IsZero() {
		return
	}
	if missed > tooMany {
		d.tell(corev1.EventTypeWarning, "TooManyMissedTimes", "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
	}
	d.startAt(at, location)
}

// startAt plans the Job for a time that is due, as the concurrency policy allows.
func (d *decision) startAt(at time.Time, location *time.Location) {
	c := d.CronJob
	if deadline := c.Spec.StartingDeadlineSeconds; deadline != nil && at.Add(time.Duration(*deadline)*time.Second).Before(d.Now) {
		d.tell(corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", at.UTC().Format(time.RFC1123Z))
		return
	}
	name := c.Name + "-" + strconv.FormatInt(at.Unix()/60, 10)
	begun := c.Status.LastScheduleTime != nil && c.Status.LastScheduleTime.Time.Equal(at)
	listed := slices.ContainsFunc(d.plan.Status.Active, func(r corev1.ObjectReference) bool { return r.Name == name })
	if begun || listed {
		return
	}
	if len(d.plan.Status.Active) > 0 {
		switch c.Spec.ConcurrencyPolicy {
		case batchv1.ForbidConcurrent:
			d.tell(corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
			return
		case batchv1.ReplaceConcurrent:
			d.plan.Replace = d.plan.Status.Active
			d.plan.Status.Active = nil
		}
	}
	d.plan.Scheduled = at
	d.plan.Create = jobFor(c, name, at.In(location))
}

// jobFor returns the Job for one start time.
func jobFor(c *batchv1.CronJob, name string, at time.Time) *batchv1.Job {
	template := c.Spec.JobTemplate
	annotations := maps.Clone(template.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[batchv1.CronJobScheduledTimestampAnnotation] = at.Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: name, Labels: maps.Clone(template.Labels), Annotations: annotations,
			CreationTimestamp: metav1.Time{}, OwnerReferences: []metav1.OwnerReference{own.Reference(c, Kind)},
		},
		Spec: *template.Spec.DeepCopy(),
	}
}

package cronjob

import (
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func clock(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

func hourly(edit func(*batchv1.CronJob)) *batchv1.CronJob {
	c := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "hourly", UID: "cron", CreationTimestamp: metav1.NewTime(clock("2026-03-01T09:30:00Z"))},
		Spec: batchv1.CronJobSpec{
			Schedule: "0 * * * *", TimeZone: ptr.To("UTC"), ConcurrencyPolicy: batchv1.AllowConcurrent, Suspend: ptr.To(false),
			SuccessfulJobsHistoryLimit: ptr.To[int32](1), FailedJobsHistoryLimit: ptr.To[int32](1),
		},
	}
	edit(c)
	return c
}

func newJob(name string, end batchv1.JobConditionType, at string) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	j.Status.StartTime = &metav1.Time{Time: clock(at)}
	if end != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: end, Status: corev1.ConditionTrue}}
	}
	if end == batchv1.JobComplete {
		j.Status.CompletionTime = &metav1.Time{Time: clock(at)}
	}
	return j
}

func running(names ...string) func(*batchv1.CronJob) {
	return func(c *batchv1.CronJob) {
		for _, name := range names {
			c.Status.Active = append(c.Status.Active, corev1.ObjectReference{Name: name, UID: types.UID(name)})
		}
	}
}

// conformance: CronJob Suspend
// conformance: CronJob ForbidConcurrent
// conformance: CronJob ReplaceConcurrent
// conformance: CronJob AllowConcurrent
func TestDecide(t *testing.T) {
	t.Parallel()
	last := func(at string) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) { c.Status.LastScheduleTime = &metav1.Time{Time: clock(at)} }
	}
	both := func(fs ...func(*batchv1.CronJob)) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) {
			for _, f := range fs {
				f(c)
			}
		}
	}
	policy := func(p batchv1.ConcurrencyPolicy) func(*batchv1.CronJob) {
		return func(c *batchv1.CronJob) { c.Spec.ConcurrencyPolicy = p }
	}
	for _, test := range []struct {
		name string
		cron func(*batchv1.CronJob)
		jobs []*batchv1.Job
		gone []string
		now  string
		want string
	}{
		{name: "not yet", cron: both(), now: "2026-03-01T09:59:00Z", want: "wait 1m0.1s"},
		{name: "due", cron: both(), now: "2026-03-01T10:00:00Z", want: "start 01 10:00, wait 1h0m0.1s"},
		{name: "started already", cron: last("2026-03-01T10:00:00Z"), now: "2026-03-01T10:00:01Z", want: "wait 59m59.1s"},
		{name: "suspended", cron: func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(true) }, now: "2026-03-01T10:00:00Z", want: ""},
		{name: "one still runs, and may", cron: running("a"), jobs: []*batchv1.Job{newJob("a", "", "2026-03-01T09:00:00Z")}, now: "2026-03-01T10:00:00Z",
			want: "start 01 10:00, wait 1h0m0.1s"},
		{name: "one still runs, and must not", cron: both(running("a"), policy(batchv1.ForbidConcurrent)), jobs: []*batchv1.Job{newJob("a", "", "2026-03-01T09:00:00Z")},
			now: "2026-03-01T10:00:00Z", want: "JobAlreadyActive, wait 1h0m0.1s"},
		{name: "one still runs, and is replaced", cron: both(running("a"), policy(batchv1.ReplaceConcurrent)), jobs: []*batchv1.Job{newJob("a", "", "2026-03-01T09:00:00Z")},
			now: "2026-03-01T10:00:00Z", want: "replace a, start 01 10:00, wait 1h0m0.1s"},
		{name: "too late", cron: func(c *batchv1.CronJob) { c.Spec.StartingDeadlineSeconds = ptr.To[int64](60) }, now: "2026-03-01T10:02:00Z", want: "wait 58m0.1s"},
		{name: "late, but not too", cron: func(c *batchv1.CronJob) { c.Spec.StartingDeadlineSeconds = ptr.To[int64](300) }, now: "2026-03-01T10:02:00Z",
			want: "start 01 10:00, wait 58m0.1s"},
		{name: "only the last of many that were missed", cron: both(), now: "2026-03-01T15:10:00Z", want: "start 01 15:00, wait 50m0.1s"},
		{name: "more than a hundred were missed", cron: both(), now: "2026-03-08T15:10:00Z", want: "TooManyMissedTimes, start 08 15:00, wait 50m0.1s"},
		{name: "one has completed", cron: both(running("a"), last("2026-03-01T10:00:00Z")), jobs: []*batchv1.Job{newJob("a", batchv1.JobComplete, "2026-03-01T10:00:00Z")},
			now: "2026-03-01T10:10:00Z", want: "SawCompletedJob, wait 50m0.1s"},
		{name: "one has vanished", cron: both(running("a"), last("2026-03-01T10:00:00Z")), gone: []string{"a"}, now: "2026-03-01T10:10:00Z", want: "MissingJob, wait 50m0.1s"},
		{name: "one is unknown", cron: last("2026-03-01T10:00:00Z"), jobs: []*batchv1.Job{newJob("x", "", "2026-03-01T10:00:00Z")}, now: "2026-03-01T10:10:00Z",
			want: "UnexpectedJob, wait 50m0.1s"},
		{name: "history is kept short", cron: last("2026-03-01T10:00:00Z"), now: "2026-03-01T10:10:00Z", jobs: []*batchv1.Job{
			newJob("b", batchv1.JobComplete, "2026-03-01T09:00:00Z"), newJob("a", batchv1.JobComplete, "2026-03-01T08:00:00Z"), newJob("f", batchv1.JobFailed, "2026-03-01T07:00:00Z"),
		}, want: "prune a, wait 50m0.1s"},
		{name: "a zone that does not exist", cron: func(c *batchv1.CronJob) { c.Spec.TimeZone = ptr.To("Mars/Base") }, now: "2026-03-01T10:00:00Z", want: "UnknownTimeZone"},
		{name: "a schedule that cannot be read", cron: func(c *batchv1.CronJob) { c.Spec.Schedule = "often" }, now: "2026-03-01T10:00:00Z", want: "UnparseableSchedule"},
		{name: "every day at noon in Tokyo", cron: func(c *batchv1.CronJob) { c.Spec.Schedule, c.Spec.TimeZone = "0 12 * * *", ptr.To("Asia/Tokyo") },
			now: "2026-03-02T03:00:00Z", want: "start 02 03:00, wait 24h0m0.1s"},
		{name: "an hour that summer time skips comes not", cron: both(last("2026-03-28T10:00:00Z"), func(c *batchv1.CronJob) { c.Spec.Schedule, c.Spec.TimeZone = "30 2 * * *", ptr.To("Europe/Berlin") }),
			now: "2026-03-29T12:00:00Z", want: "wait 12h30m0.1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Snapshot{CronJob: hourly(test.cron), Jobs: test.jobs, Missing: map[types.UID]bool{}, Now: clock(test.now)}
			for _, name := range test.gone {
				s.Missing[types.UID(name)] = true
			}
			if got := what(Decide(s)); got != test.want {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

// what a plan does, in short.
func what(p Plan) string {
	text := ""
	add := func(format string, args ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, args...)
	}
	for _, job := range p.History {
		add("prune %s", job.Name)
	}
	for _, event := range p.Events {
		add("%s", event.Reason)
	}
	for _, ref := range p.Replace {
		add("replace %s", ref.Name)
	}
	if p.Create != nil {
		add("start %s", p.Scheduled.UTC().Format("02 15:04"))
	}
	if p.After > 0 {
		add("wait %v", p.After)
	}
	return text
}

func TestAJobKnowsWhenItWasDue(t *testing.T) {
	t.Parallel()
	c := hourly(func(c *batchv1.CronJob) { c.Spec.TimeZone = ptr.To("Asia/Tokyo") })
	plan := Decide(Snapshot{CronJob: c, Now: clock("2026-03-01T10:00:00Z")})
	if got := plan.Create.Annotations[batchv1.CronJobScheduledTimestampAnnotation]; got != "2026-03-01T19:00:00+09:00" {
		t.Errorf("scheduled at %s", got)
	}
	if plan.Create.Name != "hourly-29539320" { // minutes since 1970
		t.Errorf("name %s", plan.Create.Name)
	}
	if !metav1.IsControlledBy(plan.Create, c) {
		t.Error("the Job is not the CronJob's")
	}
}

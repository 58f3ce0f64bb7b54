package batch

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		text, _, _ := strings.Cut(err.Error(), "\n")
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func goodJob() *batchv1.Job {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "work", UID: "u1"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "busybox:1"}},
		}}},
	}
	defaultJob(job)
	prepareJob(nil, job)
	return job
}

func TestJobs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*batchv1.Job)
		want   []string
	}{
		"good": {func(*batchv1.Job) {}, nil},
		"restarting for ever": {func(j *batchv1.Job) { j.Spec.Template.Spec.RestartPolicy = "Always" }, []string{
			`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`,
		}},
		"another job's pods": {func(j *batchv1.Job) { j.Spec.Template.Labels[batchv1.ControllerUidLabel] = "u2" }, []string{
			`spec.template.metadata.labels[batch.kubernetes.io/controller-uid]: Invalid value: {"batch.kubernetes.io/controller-uid":"u2","batch.kubernetes.io/job-name":"work","controller-uid":"u1","job-name":"work"}: must be 'u1'`,
			"spec.template.metadata.labels: Invalid value: {\"batch.kubernetes.io/controller-uid\":\"u2\",\"batch.kubernetes.io/job-name\":\"work\",\"controller-uid\":\"u1\",\"job-name\":\"work\"}: `selector` does not match template `labels`",
		}},
		"indexed": {func(j *batchv1.Job) {
			j.Spec.CompletionMode, j.Spec.Completions = ptr.To(batchv1.IndexedCompletion), nil
			j.Spec.MaxFailedIndexes = ptr.To[int32](1)
		}, []string{
			"spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
			"spec.completions: Required value: when completion mode is Indexed",
		}},
		"failure policy": {func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
				{Action: "Explode", OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
					Operator: "In", Values: []int32{3, 0, 3}, ContainerName: ptr.To("other"),
				}},
				{Action: "FailIndex"},
			}}
			j.Spec.PodReplacementPolicy = ptr.To(batchv1.TerminatingOrFailed)
		}, []string{
			`spec.podFailurePolicy.rules[0].action: Unsupported value: "Explode": supported values: "Count", "FailIndex", "FailJob", "Ignore"`,
			`spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template`,
			"spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
			"spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 3",
			"spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,0,3]: must be ordered",
			`spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
			"spec.podFailurePolicy.rules[1]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
			`spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"`,
		}},
		"success policy": {func(j *batchv1.Job) {
			j.Spec.CompletionMode, j.Spec.Completions = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](5)
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{
				{}, {SucceededIndexes: ptr.To("0-2,4"), SucceededCount: ptr.To[int32](5)}, {SucceededIndexes: ptr.To("3-9")},
			}}
		}, []string{
			"spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified",
			"spec.successPolicy.rules[1].succeededCount: Invalid value: 5: must be less than or equal to 4 (the number of indexes in the specified succeededIndexes field)",
			`spec.successPolicy.rules[2].succeededIndexes: Invalid value: "3-9": error parsing succeededIndexes: too large index: "9"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := goodJob()
			test.change(job)
			expect(t, validateJob(nil, job), test.want...)
		})
	}
}

func TestJobsAreFixedOnceTheyStart(t *testing.T) {
	t.Parallel()
	moved := goodJob()
	moved.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "fast"}
	if errs := validateJobUpdate(nil, moved, goodJob()); len(errs) != 1 || !strings.HasSuffix(errs[0].Error(), "field is immutable") {
		t.Errorf("a running job moved: %v", errs)
	}
	waiting := goodJob()
	waiting.Spec.Suspend = ptr.To(true)
	expect(t, validateJobUpdate(nil, moved, waiting))
	elastic := goodJob()
	elastic.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
	bigger := elastic.DeepCopy()
	bigger.Spec.Completions, bigger.Spec.Parallelism = ptr.To[int32](4), ptr.To[int32](4)
	expect(t, validateJobUpdate(nil, bigger, elastic))
	bigger.Spec.Parallelism = ptr.To[int32](3)
	expect(t, validateJobUpdate(nil, bigger, elastic), "spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism")
}

func TestJobsEndOnce(t *testing.T) {
	t.Parallel()
	job := goodJob()
	job.Status.Conditions = []batchv1.JobCondition{{Type: "Complete", Status: "True"}, {Type: "Failed", Status: "True"}}
	expect(t, validateJobStatus(nil, job, goodJob()),
		"status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
		"status.completionTime: Required value: completionTime is required for Complete jobs")
}

func TestCronJobs(t *testing.T) {
	t.Parallel()
	good := func() *batchv1.CronJob {
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}, Spec: batchv1.CronJobSpec{
			Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: goodJob().Spec.Template}},
		}}
		defaultCronJob(c)
		return c
	}
	expect(t, validateCronJob(nil, good()))
	bad := good()
	bad.Name = strings.Repeat("a", 53)
	bad.Spec.Schedule, bad.Spec.TimeZone = "TZ=UTC 61 * * * *", ptr.To("Local")
	bad.Spec.ConcurrencyPolicy = "Maybe"
	bad.Spec.JobTemplate.Spec.ManualSelector = ptr.To(true)
	bad.Spec.JobTemplate.Spec.Selector = &metav1.LabelSelector{}
	bad.Spec.JobTemplate.Spec.MaxFailedIndexes = ptr.To[int32](1)
	expect(t, validateCronJob(nil, bad),
		`spec.schedule: Invalid value: "TZ=UTC 61 * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule`,
		`spec.schedule: Invalid value: "TZ=UTC 61 * * * *": end of range (61) above maximum (59): 61`,
		`spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones`,
		`spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"`,
		"spec.jobTemplate.spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
		`spec.jobTemplate.spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode`,
		"spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated",
		`spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"`,
		`metadata.name: Invalid value: "`+bad.Name+`": must be no more than 52 characters`)
}

func TestJobDefaults(t *testing.T) {
	t.Parallel()
	queue := &batchv1.Job{Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](3)}}
	defaultJob(queue)
	if queue.Spec.Completions != nil || *queue.Spec.BackoffLimit != 6 || *queue.Spec.PodReplacementPolicy != batchv1.TerminatingOrFailed {
		t.Errorf("got %+v", queue.Spec)
	}
	perIndex := &batchv1.Job{Spec: batchv1.JobSpec{BackoffLimitPerIndex: ptr.To[int32](1)}}
	defaultJob(perIndex)
	if *perIndex.Spec.BackoffLimit != 1<<31-1 || *perIndex.Spec.Completions != 1 {
		t.Errorf("got %+v", perIndex.Spec)
	}
}

// TestJobsShareLabelsWithTheirTemplate, if they bring none of their own: kubectl get jobs -l job-name=work relies on it.
func TestJobsShareLabelsWithTheirTemplate(t *testing.T) {
	t.Parallel()
	made := func(own, templates map[string]string) map[string]string {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "work", UID: "u1", Labels: own}}
		job.Spec.Template.Labels = templates
		defaultJob(job)
		prepareJob(nil, job)
		return job.Labels
	}
	generated := map[string]string{"job-name": "work", batchv1.JobNameLabel: "work", "controller-uid": "u1", batchv1.ControllerUidLabel: "u1"}
	with := maps.Clone(generated)
	with["app"] = "a"
	for name, test := range map[string]struct{ own, templates, want map[string]string }{
		"no labels at all":  {nil, nil, generated},
		"only a template's": {nil, map[string]string{"app": "a"}, with},
		"its own":           {map[string]string{"app": "a"}, map[string]string{"app": "a"}, map[string]string{"app": "a"}},
	} {
		if got := made(test.own, test.templates); !maps.Equal(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzIndexes(f *testing.F) {
	f.Add("1,3-5,7", int32(9))
	f.Add("-", int32(0))
	f.Add("0-2147483647", int32(2147483647))
	f.Fuzz(func(t *testing.T, list string, completions int32) {
		if n, err := countIndexes(list, completions); err == nil && (n < 0 || n > max(completions, 0)) {
			t.Errorf("%q has %d indexes below %d", list, n, completions)
		}
	})
}

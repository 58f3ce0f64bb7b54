package job

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

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newJob(edit func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pi", UID: "job"},
		Spec: batchv1.JobSpec{
			Completions: ptr.To[int32](3), Parallelism: ptr.To[int32](2), BackoffLimit: ptr.To[int32](6), CompletionMode: ptr.To(batchv1.NonIndexedCompletion),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "pi"}}}},
		},
		Status: batchv1.JobStatus{StartTime: &metav1.Time{Time: now.Add(-time.Minute)}},
	}
	edit(j)
	return j
}

func asIndexed(completions int32) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Spec.CompletionMode, j.Spec.Completions, j.Spec.Parallelism = ptr.To(batchv1.IndexedCompletion), &completions, &completions
	}
}

// newPod returns a Pod in a phase, with the finalizer.
func newPod(name string, phase corev1.PodPhase, edit ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Finalizers: []string{batchv1.JobTrackingFinalizer}},
		Status:     corev1.PodStatus{Phase: phase},
	}
	for _, f := range edit {
		f(pod)
	}
	return pod
}

func at(index int) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Annotations = map[string]string{batchv1.JobCompletionIndexAnnotation: fmt.Sprint(index)}
	}
}

func exiting(code int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "pi", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(now)}},
		}}
	}
}

func disrupted(pod *corev1.Pod) {
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
}

func going(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: now} }

// what a plan does, in short: created/withdrawn/stopped/released, then how the Job ends.
func what(p Plan) string {
	end := "goes on"
	if p.Finish != nil {
		end = fmt.Sprintf("%s %s", p.Finish.Type, p.Finish.Reason)
	}
	uncounted := p.Status.UncountedTerminatedPods
	return fmt.Sprintf("+%d -%d x%d ^%d, uncounted %d ok %d failed, %s", len(p.Create), len(p.Withdraw), len(p.Stop), len(p.Release),
		len(uncounted.Succeeded), len(uncounted.Failed), end)
}

func rules(rules ...batchv1.PodFailurePolicyRule) func(*batchv1.Job) {
	return func(j *batchv1.Job) { j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: rules} }
}

var (
	failOn42 = batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
		Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42},
	}}
	ignoreDisruptions = batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
		{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
	}}
	failIndexOn42 = batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionFailIndex, OnExitCodes: failOn42.OnExitCodes}
)

// conformance: Ensure pod failure policy allows to ignore failure matching on the DisruptionTarget condition
// conformance: Verify Pod Failure policy allows to fail job early on exit code.
// conformance: Mark indexes as failed when the FailIndex action is matched in podFailurePolicy
// conformance: Terminate job execution when the maxFailedIndexes is exceeded
// conformance: Ensure that job with successPolicy succeeded when all indexes succeeded
// conformance: Ensure that job with successPolicy succeededCount rule succeeded even when some indexes remain pending
// conformance: Ensure that job with successPolicy succeededIndexes rule succeeded even when some indexes remain pending
func TestDecide(t *testing.T) {
	t.Parallel()
	running, ok, failed := corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed
	both := func(fs ...func(*batchv1.Job)) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			for _, f := range fs {
				f(j)
			}
		}
	}
	perIndex := func(limit int32) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Spec.BackoffLimitPerIndex, j.Spec.BackoffLimit = &limit, ptr.To[int32](1<<31-1)
		}
	}
	success := func(rule batchv1.SuccessPolicyRule) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{rule}}
		}
	}
	for _, test := range []struct {
		name string
		job  func(*batchv1.Job)
		pods []*corev1.Pod
		edit func(*Snapshot)
		want string
	}{
		{name: "a new Job starts as many as may run", job: both(), want: "+2 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "enough are running", job: both(), pods: []*corev1.Pod{newPod("a", running), newPod("b", running)},
			want: "+0 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "one has succeeded and is written down before it is released", job: both(), pods: []*corev1.Pod{newPod("a", ok), newPod("b", running)},
			want: "+1 -0 x0 ^1, uncounted 1 ok 0 failed, goes on"},
		{name: "the last has succeeded", job: func(j *batchv1.Job) { j.Status.Succeeded = 2 }, pods: []*corev1.Pod{newPod("c", ok)},
			want: "+0 -0 x0 ^1, uncounted 1 ok 0 failed, SuccessCriteriaMet CompletionsReached"},
		{name: "what is written down already is not counted again", job: func(j *batchv1.Job) {
			j.Status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a"}}
		}, pods: []*corev1.Pod{newPod("a", ok), newPod("b", running)}, want: "+1 -0 x0 ^1, uncounted 1 ok 0 failed, goes on"},
		{name: "a released Pod that the cache shows late is not counted again", job: func(j *batchv1.Job) { j.Status.Succeeded = 1 },
			pods: []*corev1.Pod{newPod("a", ok), newPod("b", running), newPod("c", running)},
			edit: func(s *Snapshot) { s.Removing = map[types.UID]bool{"a": true} }, want: "+0 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "a failed Pod is replaced after a while", job: both(), pods: []*corev1.Pod{newPod("a", failed, exiting(1)), newPod("b", running)},
			want: "+0 -0 x0 ^1, uncounted 0 ok 1 failed, goes on"},
		{name: "and then it is", job: func(j *batchv1.Job) { j.Status.Failed = 1 }, pods: []*corev1.Pod{newPod("b", running)},
			edit: func(s *Snapshot) { s.Streak = Streak{1, now.Add(-11 * time.Second)} }, want: "+1 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "too many have failed", job: func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](0) },
			pods: []*corev1.Pod{newPod("a", failed, exiting(1)), newPod("b", running)}, want: "+0 -0 x1 ^2, uncounted 0 ok 2 failed, FailureTarget BackoffLimitExceeded"},
		{name: "a Pod being deleted counts as failed", job: both(), pods: []*corev1.Pod{newPod("a", running, going), newPod("b", running)},
			want: "+0 -0 x0 ^1, uncounted 0 ok 1 failed, goes on"},
		{name: "unless only failed ones are replaced", job: func(j *batchv1.Job) { j.Spec.PodReplacementPolicy = ptr.To(batchv1.Failed) },
			pods: []*corev1.Pod{newPod("a", running, going), newPod("b", running)}, want: "+0 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "the parallelism was lowered", job: func(j *batchv1.Job) { j.Spec.Parallelism = ptr.To[int32](1) },
			pods: []*corev1.Pod{newPod("a", running), newPod("b", running)}, want: "+0 -1 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "suspended", job: func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) }, pods: []*corev1.Pod{newPod("a", running), newPod("b", running)},
			want: "+0 -2 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "late", job: func(j *batchv1.Job) { j.Spec.ActiveDeadlineSeconds = ptr.To[int64](30) }, pods: []*corev1.Pod{newPod("a", running)},
			want: "+0 -0 x1 ^1, uncounted 0 ok 1 failed, FailureTarget DeadlineExceeded"},
		{name: "the cache is behind", job: both(), edit: func(s *Snapshot) { s.Unseen = true }, want: "+0 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "a work queue takes no new workers after the first success", job: func(j *batchv1.Job) { j.Spec.Completions = nil },
			pods: []*corev1.Pod{newPod("a", ok), newPod("b", running)}, want: "+0 -0 x0 ^1, uncounted 1 ok 0 failed, goes on"},
		{name: "and ends with the last of them", job: func(j *batchv1.Job) { j.Spec.Completions = nil; j.Status.Succeeded = 1 }, pods: []*corev1.Pod{newPod("b", ok)},
			want: "+0 -0 x0 ^1, uncounted 1 ok 0 failed, SuccessCriteriaMet CompletionsReached"},
		{name: "an exit code that fails the Job", job: rules(failOn42), pods: []*corev1.Pod{newPod("a", failed, exiting(42)), newPod("b", running)},
			want: "+0 -0 x1 ^2, uncounted 0 ok 2 failed, FailureTarget PodFailurePolicy"},
		{name: "a disruption that does not count", job: both(rules(ignoreDisruptions), func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](0) }),
			pods: []*corev1.Pod{newPod("a", failed, disrupted), newPod("b", running)}, want: "+0 -0 x0 ^1, uncounted 0 ok 0 failed, goes on"},
		{name: "indexes that have no Pod get one", job: asIndexed(3), pods: []*corev1.Pod{newPod("b", running, at(1))},
			want: "+2 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "of two Pods of an index one goes", job: asIndexed(2), pods: []*corev1.Pod{newPod("a", running, at(0)), newPod("b", running, at(0)), newPod("c", running, at(1))},
			want: "+0 -1 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "all indexes are done", job: asIndexed(2), pods: []*corev1.Pod{newPod("a", ok, at(0)), newPod("b", ok, at(1))},
			want: "+0 -0 x0 ^2, uncounted 0 ok 0 failed, SuccessCriteriaMet CompletionsReached"},
		{name: "an index out of tries is not tried again", job: both(asIndexed(2), perIndex(0)), pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(1)), newPod("b", running, at(1))},
			want: "+0 -0 x0 ^1, uncounted 0 ok 1 failed, goes on"},
		{name: "one with tries left keeps its last Pod until the next has come", job: both(asIndexed(2), perIndex(1)),
			pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(1)), newPod("b", running, at(1))}, want: "+0 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "which waits", job: both(asIndexed(2), perIndex(1)), pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(1)), newPod("b", running, at(1))},
			edit: func(s *Snapshot) { s.Now = now.Add(10 * time.Second) }, want: "+1 -0 x0 ^0, uncounted 0 ok 0 failed, goes on"},
		{name: "an exit code that fails the index at once", job: both(asIndexed(2), perIndex(5), rules(failIndexOn42)),
			pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(42)), newPod("b", running, at(1))}, want: "+0 -0 x0 ^1, uncounted 0 ok 1 failed, goes on"},
		{name: "all indexes have ended, one by failing", job: both(asIndexed(2), perIndex(0)), pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(1)), newPod("b", ok, at(1))},
			want: "+0 -0 x0 ^2, uncounted 0 ok 1 failed, FailureTarget FailedIndexes"},
		{name: "too many indexes have failed", job: both(asIndexed(3), perIndex(0), func(j *batchv1.Job) { j.Spec.MaxFailedIndexes = ptr.To[int32](0) }),
			pods: []*corev1.Pod{newPod("a", failed, at(0), exiting(1)), newPod("b", running, at(1))}, want: "+0 -0 x1 ^2, uncounted 0 ok 2 failed, FailureTarget MaxFailedIndexesExceeded"},
		{name: "the leader has succeeded, which is enough", job: both(asIndexed(3), success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0")})),
			pods: []*corev1.Pod{newPod("a", ok, at(0)), newPod("b", running, at(1)), newPod("c", running, at(2))}, want: "+0 -0 x2 ^3, uncounted 0 ok 0 failed, SuccessCriteriaMet SuccessPolicy"},
		{name: "any two have succeeded, which is enough", job: both(asIndexed(3), success(batchv1.SuccessPolicyRule{SucceededCount: ptr.To[int32](2)})),
			pods: []*corev1.Pod{newPod("a", ok, at(0)), newPod("b", ok, at(1)), newPod("c", running, at(2))}, want: "+0 -0 x1 ^3, uncounted 0 ok 0 failed, SuccessCriteriaMet SuccessPolicy"},
		{name: "one of two that must is not enough", job: both(asIndexed(3), success(batchv1.SuccessPolicyRule{SucceededIndexes: ptr.To("0-1")})),
			pods: []*corev1.Pod{newPod("a", ok, at(0)), newPod("b", running, at(1)), newPod("c", running, at(2))}, want: "+0 -0 x0 ^1, uncounted 0 ok 0 failed, goes on"},
		{name: "restarts of containers are tries too", job: func(j *batchv1.Job) {
			j.Spec.Template.Spec.RestartPolicy, j.Spec.BackoffLimit = corev1.RestartPolicyOnFailure, ptr.To[int32](3)
		}, pods: []*corev1.Pod{newPod("a", running, func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}} })},
			want: "+0 -0 x1 ^1, uncounted 0 ok 1 failed, FailureTarget BackoffLimitExceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := Snapshot{Job: newJob(test.job), Pods: test.pods, Now: now}
			if test.edit != nil {
				test.edit(&s)
			}
			if got := what(Decide(s)); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTheEndIsFinalOnlyWhenEveryPodIsGoneAndCounted(t *testing.T) {
	t.Parallel()
	finish := &batchv1.JobCondition{Type: batchv1.JobFailureTarget, Status: corev1.ConditionTrue, Reason: "BackoffLimitExceeded", Message: "m"}
	status := batchv1.JobStatus{
		Terminating: ptr.To[int32](1), UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a"}, Failed: []types.UID{"b", "c"}},
	}
	if End(&status, finish, now) {
		t.Error("ended with a Pod still there")
	}
	status.Terminating = ptr.To[int32](0)
	Settle(&status, map[types.UID]bool{"c": true})
	if status.Succeeded != 1 || status.Failed != 1 || End(&status, finish, now) {
		t.Errorf("with a Pod uncounted: %+v", status)
	}
	Settle(&status, nil)
	if status.Failed != 2 || !End(&status, finish, now) {
		t.Errorf("at last: %+v", status)
	}
	if end := ended(&status); end == nil || end.Type != batchv1.JobFailed || end.Reason != "BackoffLimitExceeded" || status.CompletionTime != nil {
		t.Errorf("ended as %+v", end)
	}
}

func TestIndexes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "1": "1", "1,2": "1,2", "1-3": "1-3", "3,1-2": "1-3", "0-4,2-7": "0-7", "5,7,6,x,9-": "5-7", "8-100": "8,9"} {
		if got := parseIndexes(text, 10).String(); got != want {
			t.Errorf("%q is read as %q, want %q", text, got, want)
		}
	}
	set := parseIndexes("1-3,7", 10)
	if set.total() != 4 || !set.has(2) || set.has(4) || !set.has(7) || set.has(0) {
		t.Errorf("%v", set)
	}
	if got := set.with([]int{5, 4, 6}).String(); got != "1-7" {
		t.Errorf("joined: %s", got)
	}
	if got := set.common(parseIndexes("0-1,3,8", 10)); got != 2 {
		t.Errorf("%d in common", got)
	}
}

func FuzzIndexes(f *testing.F) {
	f.Add("1,3-5", 10)
	f.Add("9-2,,-", 4)
	f.Fuzz(func(t *testing.T, text string, completions int) {
		set := parseIndexes(text, completions)
		if again := parseIndexes(set.String(), completions); set.String() != again.String() && completions > 0 && set.total() > 0 && set[0].first >= 0 {
			t.Errorf("%q: %s, then %s", text, set, again)
		}
	})
}

func TestFailuresInARowWaitLonger(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{0: 0, 1: 10 * time.Second, 2: 20 * time.Second, 6: 320 * time.Second, 7: 10 * time.Minute, 50: 10 * time.Minute} {
		if got := (Streak{failures, now}).wait(now); got != want {
			t.Errorf("after %d: %v, want %v", failures, got, want)
		}
	}
	s := Streak{3, now.Add(-time.Minute)}.after([]*corev1.Pod{newPod("a", corev1.PodSucceeded, exiting(0))}, nil, now)
	if s.Failures != 0 {
		t.Errorf("a success leaves %d failures", s.Failures)
	}
}

func BenchmarkDecide(b *testing.B) {
	j := newJob(asIndexed(500))
	var pods []*corev1.Pod
	for i := range 500 {
		pods = append(pods, newPod(fmt.Sprint(i), corev1.PodRunning, at(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		Decide(Snapshot{Job: j, Pods: pods, Now: now})
	}
}

package job_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/controltest"
	"github.com/septet-io/septet/controllers/job"
)

func pi(edit func(*batchv1.Job)) *batchv1.Job {
	labels := map[string]string{"batch.kubernetes.io/job-name": "pi"}
	j := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pi"},
		Spec: batchv1.JobSpec{
			Completions: ptr.To[int32](3), Parallelism: ptr.To[int32](2), BackoffLimit: ptr.To[int32](6),
			CompletionMode: ptr.To(batchv1.NonIndexedCompletion), Suspend: ptr.To(false),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "pi", Image: "pi:1"}}},
			},
		},
	}
	edit(j)
	return j
}

// run starts a Job in a World whose Pods end as soon as they are there, in the phase that ends says.
func run(t *testing.T, j *batchv1.Job, ends func(*corev1.Pod) corev1.PodPhase) *controltest.World {
	t.Helper()
	w := controltest.New(t)
	controllers, err := job.New(w.Set, w.Events, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Run(append(controllers, w.KubeletThat(func(pod *corev1.Pod) { pod.Status.Phase = ends(pod) }))...)
	if _, err := w.BatchV1().Jobs("default").Create(context.Background(), j, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// ends waits until the Job has a condition with status true and returns it then.
func ends(t *testing.T, w *controltest.World, kind batchv1.JobConditionType) *batchv1.Job {
	t.Helper()
	var last *batchv1.Job
	w.Eventually(func() string {
		j, err := w.BatchV1().Jobs("default").Get(context.Background(), "pi", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		last = j
		for _, c := range j.Status.Conditions {
			if c.Type == kind && c.Status == corev1.ConditionTrue {
				return ""
			}
		}
		return fmt.Sprintf("%+v", j.Status)
	})
	return last
}

func succeed(*corev1.Pod) corev1.PodPhase { return corev1.PodSucceeded }

// conformance: Jobs, completion after task failure
func TestAJobCompletes(t *testing.T) {
	t.Parallel()
	w := run(t, pi(func(*batchv1.Job) {}), succeed)
	j := ends(t, w, batchv1.JobComplete)
	if j.Status.Succeeded != 3 || j.Status.Failed != 0 || j.Status.Active != 0 || j.Status.CompletionTime == nil {
		t.Errorf("status %+v", j.Status)
	}
	w.Told("Normal Completed Job completed")
	w.Eventually(func() string { // a Pod that ends with the Job is let go just after it
		pods, err := w.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, pod := range pods.Items {
			if len(pod.Finalizers) > 0 {
				return fmt.Sprintf("pod %s still has %v", pod.Name, pod.Finalizers)
			}
		}
		return ""
	})
}

// conformance: Ensure Pods of an Indexed Job get a unique index.
func TestAnIndexedJobRunsEveryIndexOnce(t *testing.T) {
	t.Parallel()
	w := run(t, pi(func(j *batchv1.Job) {
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		j.Spec.Completions = ptr.To[int32](5)
	}), succeed)
	j := ends(t, w, batchv1.JobComplete)
	if j.Status.CompletedIndexes != "0-4" || j.Status.Succeeded != 5 {
		t.Errorf("status %+v", j.Status)
	}
	pods, err := w.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 5 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	for _, pod := range pods.Items {
		if pod.Spec.Hostname != "pi-"+pod.Annotations[batchv1.JobCompletionIndexAnnotation] {
			t.Errorf("pod %s: hostname %s, annotations %v", pod.Name, pod.Spec.Hostname, pod.Annotations)
		}
	}
}

func TestAJobFailsAtItsBackoffLimit(t *testing.T) {
	t.Parallel()
	w := run(t, pi(func(j *batchv1.Job) { j.Spec.BackoffLimit = ptr.To[int32](0) }), func(*corev1.Pod) corev1.PodPhase { return corev1.PodFailed })
	j := ends(t, w, batchv1.JobFailed)
	if j.Status.Failed == 0 || j.Status.Active != 0 {
		t.Errorf("status %+v", j.Status)
	}
	w.Told("Warning BackoffLimitExceeded Job has reached the specified backoff limit")
}

// conformance: Ensure that all indexes are executed for an indexed job with backoffLimitPerIndex despite some failing
func TestIndexesFailEachForItself(t *testing.T) {
	t.Parallel()
	w := run(t, pi(func(j *batchv1.Job) {
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		j.Spec.Completions, j.Spec.Parallelism = ptr.To[int32](4), ptr.To[int32](4)
		j.Spec.BackoffLimit, j.Spec.BackoffLimitPerIndex = ptr.To[int32](1<<31-1), ptr.To[int32](0)
	}), func(pod *corev1.Pod) corev1.PodPhase {
		if index := pod.Annotations[batchv1.JobCompletionIndexAnnotation]; index == "1" || index == "3" {
			return corev1.PodFailed
		}
		return corev1.PodSucceeded
	})
	j := ends(t, w, batchv1.JobFailed)
	if j.Status.CompletedIndexes != "0,2" || ptr.Deref(j.Status.FailedIndexes, "") != "1,3" || j.Status.Failed != 2 || j.Status.Succeeded != 2 {
		t.Errorf("status %+v", j.Status)
	}
	w.Told("Warning FailedIndexes Job has failed indexes")
}

func TestASuspendedJobHasNoPods(t *testing.T) {
	t.Parallel()
	w := run(t, pi(func(*batchv1.Job) {}), func(*corev1.Pod) corev1.PodPhase { return corev1.PodRunning })
	ctx := context.Background()
	pods := func(n int) {
		t.Helper()
		w.Eventually(func() string {
			list, err := w.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
			if err != nil || len(list.Items) != n {
				return fmt.Sprintf("%d pods, %v", len(list.Items), err)
			}
			return ""
		})
	}
	suspend := func(is bool) {
		t.Helper()
		w.Eventually(func() string {
			j, err := w.BatchV1().Jobs("default").Get(ctx, "pi", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			j.Spec.Suspend = &is
			if _, err = w.BatchV1().Jobs("default").Update(ctx, j, metav1.UpdateOptions{}); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	pods(2)
	suspend(true)
	pods(0)
	w.Told("Normal Suspended Job suspended")
	suspend(false)
	pods(2)
	w.Told("Normal Resumed Job resumed")
	j, err := w.BatchV1().Jobs("default").Get(ctx, "pi", metav1.GetOptions{})
	if err != nil || j.Status.Failed != 0 || time.Since(j.Status.StartTime.Time) > time.Hour {
		t.Errorf("status %+v, %v; Pods that were withdrawn must not count as failed", j.Status, err)
	}
}

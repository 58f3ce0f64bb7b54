package job

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/controllers/measure"
	"github.com/septet-io/septet/controllers/pods"
)

// metrics are upstream's of the Job controller; names, labels and buckets are stable.
type metrics struct {
	syncs, jobs, pods, policy, tracked *prometheus.CounterVec
	duration                           *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return measure.Counter(registry, prometheus.CounterOpts{Subsystem: "job_controller", Name: name, Help: help}, labels...)
	}
	return metrics{
		syncs: counter("job_syncs_total", "The number of job syncs", "completion_mode", "result", "action"),
		jobs:  counter("jobs_finished_total", "The number of finished jobs", "completion_mode", "result", "reason"),
		pods:  counter("job_pods_finished_total", "The number of finished Pods that are fully tracked", "completion_mode", "result"),
		policy: counter("pod_failures_handled_by_failure_policy_total",
			"The number of failed Pods handled by failure policy with respect to the failure policy action applied based on the matched rule.", "action"),
		tracked: counter("terminated_pods_tracking_finalizer_total",
			"The number of terminated pods (phase=Failed|Succeeded) that have the finalizer batch.kubernetes.io/job-tracking. The event label can be \"add\" or \"delete\".", "event"),
		duration: measure.Histogram(registry, prometheus.HistogramOpts{
			Subsystem: "job_controller", Name: "job_sync_duration_seconds", Help: "The time it took to sync a job",
			Buckets: prometheus.ExponentialBuckets(0.004, 2, 15),
		}, "completion_mode", "result", "action"),
	}
}

// mode is the value of the label completion_mode.
func mode(job *batchv1.Job) string {
	if indexed(job) {
		return string(batchv1.IndexedCompletion)
	}
	return string(batchv1.NonIndexedCompletion)
}

// synced counts one turn.
func (m *metrics) synced(job *batchv1.Job, plan *Plan, err error, took time.Duration) {
	result := "success"
	if err != nil {
		result = "error"
	}
	action := "reconciling"
	switch {
	case len(plan.Create) > 0:
		action = "pods_created"
	case len(plan.Withdraw)+len(plan.Stop) > 0:
		action = "pods_deleted"
	}
	m.syncs.WithLabelValues(mode(job), result, action).Inc()
	m.duration.WithLabelValues(mode(job), result, action).Observe(took.Seconds())
}

// ended counts a Job that has ended.
func (m *metrics) ended(job *batchv1.Job, end *batchv1.JobCondition) {
	if end.Type == batchv1.JobComplete {
		m.jobs.WithLabelValues(mode(job), "succeeded", "").Inc()
		return
	}
	m.jobs.WithLabelValues(mode(job), "failed", end.Reason).Inc()
}

// counted counts Pods whose end has become part of the status.
func (m *metrics) counted(job *batchv1.Job, before, after *batchv1.JobStatus) {
	m.pods.WithLabelValues(mode(job), "succeeded").Add(float64(max(0, after.Succeeded-before.Succeeded)))
	m.pods.WithLabelValues(mode(job), "failed").Add(float64(max(0, after.Failed-before.Failed)))
}

// follow counts ended Pods with the finalizer that come and go.
func (m *metrics) follow(old, pod *corev1.Pod) {
	was := old != nil && pods.Ended(old) && hasFinalizer(old)
	is := pod != nil && pods.Ended(pod) && hasFinalizer(pod)
	switch {
	case is && !was:
		m.tracked.WithLabelValues("add").Inc()
	case was && !is:
		m.tracked.WithLabelValues("delete").Inc()
	}
}

// Package cronjob starts Jobs at the times that CronJobs ask for and keeps their history short. Decide, a pure function,
// says what to do; this file reads and writes.
package cronjob

import (
	"context"
	"slices"
	"time"
	_ "time/tzdata" // spec.timeZone must work on hosts without a zone database

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/measure"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what Jobs name in their controllerRef.
var Kind = batchv1.SchemeGroupVersion.WithKind("CronJob")

type controller struct {
	client         *client.Set
	events         record.EventRecorder
	cronJobs, jobs cache.SharedIndexInformer
	skew           *prometheus.HistogramVec
}

// New returns the controller of CronJobs. registry, which may be nil, takes its metrics.
func New(set *client.Set, events record.EventRecorder, workers int, registry prometheus.Registerer) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events,
		cronJobs: set.Informers.Batch().V1().CronJobs().Informer(),
		jobs:     set.Informers.Batch().V1().Jobs().Informer(),
		skew: measure.Histogram(registry, prometheus.HistogramOpts{
			Subsystem: "cronjob_controller", Name: "job_creation_skew_duration_seconds",
			Help:    "Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
	}
	if err := index.Controller(c.jobs); err != nil {
		return reconcile.Controller{}, err
	}
	return reconcile.Controller{
		Name: "cronjob-controller", Queue: "cronjob", Kind: Kind.Kind, Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.cronJobs, Keys: reconcile.Of(cronJobEvent)},
			{Informer: c.jobs, Keys: reconcile.Each(owner)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// cronJobEvent leaves out changes of the status alone, which are this controller's own.
func cronJobEvent(old, c *batchv1.CronJob) []reconcile.Key {
	if c == nil || (old != nil && old.Generation == c.Generation && old.Generation != 0 && (old.DeletionTimestamp == nil) == (c.DeletionTimestamp == nil)) {
		return nil
	}
	return []reconcile.Key{{Namespace: c.Namespace, Name: c.Name}}
}

func owner(job *batchv1.Job) []reconcile.Key {
	ref := metav1.GetControllerOfNoCopy(job)
	if ref == nil || ref.Kind != Kind.Kind {
		return nil
	}
	return []reconcile.Key{{Namespace: job.Namespace, Name: ref.Name}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cronJob, found := index.Get[*batchv1.CronJob](c.cronJobs, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	s := Snapshot{CronJob: cronJob, Jobs: index.Owned[*batchv1.Job](c.jobs, cronJob.UID), Now: time.Now()}
	if fresh, err := c.refresh(ctx, &s); err != nil {
		return reconcile.Result{}, err
	} else if !fresh {
		return reconcile.Result{}, nil
	}
	plan := Decide(s)
	if err := c.act(ctx, s.CronJob, plan); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{After: plan.After}, nil
}

// refresh asks the API itself where the two caches disagree: about Jobs that the status does not list, and
// about listed ones that are not there. It reports false if the CronJob is gone.
func (c *controller) refresh(ctx context.Context, s *Snapshot) (bool, error) {
	if slices.ContainsFunc(s.Jobs, func(j *batchv1.Job) bool { return finished(j) == "" && !active(&s.CronJob.Status, j.UID) }) {
		fresh, err := c.client.BatchV1().CronJobs(s.CronJob.Namespace).Get(ctx, s.CronJob.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && fresh.UID != s.CronJob.UID) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		s.CronJob = fresh
	}
	for _, ref := range s.CronJob.Status.Active {
		if slices.ContainsFunc(s.Jobs, func(j *batchv1.Job) bool { return j.UID == ref.UID }) {
			continue
		}
		job, err := c.client.BatchV1().Jobs(s.CronJob.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) || (err == nil && job.UID != ref.UID):
			if s.Missing == nil {
				s.Missing = map[types.UID]bool{}
			}
			s.Missing[ref.UID] = true
		case err != nil:
			return false, err
		default:
			s.Jobs = append(s.Jobs, job)
		}
	}
	return true, nil
}

// act carries a plan out.
func (c *controller) act(ctx context.Context, cronJob *batchv1.CronJob, plan Plan) error {
	for _, job := range plan.History {
		if err := c.delete(ctx, cronJob, job.Name, job.UID); err != nil {
			return err
		}
	}
	for _, event := range plan.Events {
		c.events.Event(cronJob, event.Type, event.Reason, event.Message)
	}
	for _, ref := range plan.Replace {
		if err := c.delete(ctx, cronJob, ref.Name, ref.UID); err != nil {
			return err
		}
	}
	if plan.Create != nil {
		made, err := c.create(ctx, cronJob, plan)
		if err != nil {
			return err
		}
		if made != nil {
			if !active(&plan.Status, made.UID) {
				plan.Status.Active = append(plan.Status.Active, reference(made))
			}
			plan.Status.LastScheduleTime = &metav1.Time{Time: plan.Scheduled}
		}
	}
	if equality.Semantic.DeepEqual(cronJob.Status, plan.Status) {
		return nil
	}
	updated := *cronJob // shallow: the status is replaced whole
	updated.Status = plan.Status
	_, err := c.client.BatchV1().CronJobs(cronJob.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// create starts the planned Job. If it is there already it was started by an earlier turn whose status was lost, or is
// somebody else's: nil then, and for a namespace that goes away.
func (c *controller) create(ctx context.Context, cronJob *batchv1.CronJob, plan Plan) (*batchv1.Job, error) {
	jobs := c.client.BatchV1().Jobs(cronJob.Namespace)
	made, err := jobs.Create(ctx, plan.Create, metav1.CreateOptions{})
	switch {
	case err == nil:
		c.skew.WithLabelValues().Observe(time.Since(plan.Scheduled).Seconds())
		c.events.Eventf(cronJob, corev1.EventTypeNormal, "SuccessfulCreate", "Created job %v", made.Name)
		reconcile.Note(ctx, journal.Record{Step: "create", Kind: "Job", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion})
		return made, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil, nil
	case apierrors.IsAlreadyExists(err):
		there, err := jobs.Get(ctx, plan.Create.Name, metav1.GetOptions{})
		if err != nil || !metav1.IsControlledBy(there, cronJob) {
			return nil, err
		}
		return there, nil
	}
	c.events.Eventf(cronJob, corev1.EventTypeWarning, "FailedCreate", "Error creating job: %v", err)
	return nil, err
}

func (c *controller) delete(ctx context.Context, cronJob *batchv1.CronJob, name string, uid types.UID) error {
	background := metav1.DeletePropagationBackground
	err := c.client.BatchV1().Jobs(cronJob.Namespace).Delete(ctx, name, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		c.events.Eventf(cronJob, corev1.EventTypeWarning, "FailedDelete", "Deleted job: %v", err)
		return err
	}
	c.events.Eventf(cronJob, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted job %v", name)
	reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Job", Namespace: cronJob.Namespace, Name: name, UID: uid})
	return nil
}

// reference is how status.active names a Job.
func reference(job *batchv1.Job) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job",
		Namespace: job.Namespace, Name: job.Name, UID: job.UID, ResourceVersion: job.ResourceVersion,
	}
}

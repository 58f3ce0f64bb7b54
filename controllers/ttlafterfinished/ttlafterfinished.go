// Package ttlafterfinished deletes Jobs that have been finished for as long as their ttlSecondsAfterFinished says.
package ttlafterfinished

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client *client.Set
	jobs   cache.SharedIndexInformer
}

// New returns the controller.
func New(set *client.Set, workers int) (reconcile.Controller, error) {
	c := &controller{client: set, jobs: set.Informers.Batch().V1().Jobs().Informer()}
	return reconcile.Controller{
		Name: "ttl-after-finished-controller", Queue: "ttl_jobs_to_delete", Kind: "Job", Workers: workers,
		Watches:   []reconcile.Watch{{Informer: c.jobs, Keys: reconcile.Of(mortal)}},
		Reconcile: c.reconcile,
	}, nil
}

// mortal returns a Job that is to be deleted at some time.
func mortal(_, job *batchv1.Job) []reconcile.Key {
	if job == nil || job.DeletionTimestamp != nil {
		return nil
	}
	if _, mortal := End(job); !mortal {
		return nil
	}
	return []reconcile.Key{{Namespace: job.Namespace, Name: job.Name}}
}

// End returns when a Job is to be deleted; false if it is not finished or is to be kept.
func End(job *batchv1.Job) (time.Time, bool) {
	if job.Spec.TTLSecondsAfterFinished == nil {
		return time.Time{}, false
	}
	for _, c := range job.Status.Conditions {
		finished := c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
		if finished && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
			return c.LastTransitionTime.Add(time.Duration(*job.Spec.TTLSecondsAfterFinished) * time.Second), true
		}
	}
	return time.Time{}, false
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	job, found := index.Get[*batchv1.Job](c.jobs, key.Namespace, key.Name)
	if !found || job.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	end, mortal := End(job)
	if !mortal {
		return reconcile.Result{}, nil
	}
	if left := time.Until(end); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	// The cache may be late: the time to live may have been changed meanwhile.
	fresh, err := c.client.BatchV1().Jobs(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if end, mortal = End(fresh); !mortal || fresh.UID != job.UID {
		return reconcile.Result{}, nil
	}
	if left := time.Until(end); left > 0 {
		return reconcile.Result{After: left}, nil
	}
	policy := metav1.DeletePropagationForeground
	err = c.client.BatchV1().Jobs(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{
		PropagationPolicy: &policy,
		Preconditions:     &metav1.Preconditions{UID: &fresh.UID, ResourceVersion: &fresh.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Job", Namespace: key.Namespace, Name: key.Name, UID: fresh.UID, Note: "its time to live has ended"})
	return reconcile.Result{}, nil
}

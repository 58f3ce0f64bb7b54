// Package job runs Jobs to their end: Pods until enough of them have succeeded, or too many failed. Decide, a pure function, says
// what to do; act.go writes; track.go tells how Pods are counted exactly once.
package job

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what Pods name in their controllerRef.
var Kind = batchv1.SchemeGroupVersion.WithKind("Job")

// batching is how long changes of Pods are collected before their Job is looked at: each look may cost two writes of the status.
const batching = 100 * time.Millisecond

type controller struct {
	client     *client.Set
	events     record.EventRecorder
	write      pods.Writer
	expected   *own.Expectations
	jobs, pods cache.SharedIndexInformer
	owners     own.Owners[*batchv1.Job] // of Pods
	metrics    metrics

	mu       sync.Mutex
	memories map[types.UID]*memory // by Job
}

// memory is what the controller knows of a Job that is in no object.
type memory struct {
	streak   Streak
	removing map[types.UID]bool // Pods whose finalizer was removed though the cache does not show it yet
}

// New returns the controllers of Jobs and of Pods that a Job left behind. registry, which may be nil, takes the metrics.
func New(set *client.Set, events record.EventRecorder, workers int, registry prometheus.Registerer) ([]reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, write: pods.Writer{Client: set, Events: events},
		expected: own.NewExpectations(), metrics: newMetrics(registry), memories: map[types.UID]*memory{},
		jobs: set.Informers.Batch().V1().Jobs().Informer(),
		pods: set.Informers.Core().V1().Pods().Informer(),
	}
	c.owners = own.Owners[*batchv1.Job]{
		Informer: c.jobs, Kind: Kind, Selector: func(job *batchv1.Job) *metav1.LabelSelector { return job.Spec.Selector }, Except: foreign,
	}
	if err := index.Controller(c.pods); err != nil {
		return nil, err
	}
	later := func(old, obj any) time.Duration {
		if old == nil {
			return 0
		}
		return batching
	}
	return []reconcile.Controller{
		{
			Name: "job-controller", Queue: "job", Kind: Kind.Kind, Workers: workers,
			Watches: []reconcile.Watch{
				{Informer: c.jobs, Keys: reconcile.Of(c.jobEvent)},
				{Informer: c.pods, Keys: reconcile.Of(c.podEvent), Later: later},
			},
			Reconcile: c.reconcile,
			Backoff:   reconcile.Backoff{Base: 100 * time.Millisecond, Max: time.Minute},
		},
		{
			Name: "job-controller", Queue: "job_orphan_pod", Kind: "Pod",
			Watches: []reconcile.Watch{
				{Informer: c.jobs, Keys: reconcile.Of(c.jobGone)},
				{Informer: c.pods, Keys: reconcile.Of(c.maybeOrphan)},
			},
			Reconcile: c.reconcileOrphan,
		},
	}, nil
}

// memory returns what is known of a Job, making it if needed.
func (c *controller) memory(job types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memories[job]
	if m == nil {
		m = &memory{removing: map[types.UID]bool{}}
		c.memories[job] = m
	}
	return m
}

func (c *controller) forget(job types.UID) {
	c.mu.Lock()
	delete(c.memories, job)
	c.mu.Unlock()
}

// removed notes that a Pod's finalizer was removed; seen that the cache shows it.
func (c *controller) removed(job, pod types.UID) {
	m := c.memory(job)
	c.mu.Lock()
	m.removing[pod] = true
	c.mu.Unlock()
}

func (c *controller) seen(job, pod types.UID) {
	c.mu.Lock()
	if m := c.memories[job]; m != nil {
		delete(m.removing, pod)
	}
	c.mu.Unlock()
}

// recall returns copies of what is known of a Job.
func (c *controller) recall(job types.UID) (Streak, map[types.UID]bool) {
	m := c.memory(job)
	c.mu.Lock()
	defer c.mu.Unlock()
	removing := make(map[types.UID]bool, len(m.removing))
	for uid := range m.removing {
		removing[uid] = true
	}
	return m.streak, removing
}

// foreign reports whether another controller runs a Job.
func foreign(job *batchv1.Job) bool {
	return job.Spec.ManagedBy != nil && *job.Spec.ManagedBy != batchv1.JobControllerName
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	began := time.Now()
	job, found := index.Get[*batchv1.Job](c.jobs, key.Namespace, key.Name)
	if !found {
		c.expected.Forget(key)
		return reconcile.Result{}, nil
	}
	if foreign(job) || ended(&job.Status) != nil {
		return reconcile.Result{}, nil
	}
	if m := job.Spec.CompletionMode; m != nil && *m != batchv1.NonIndexedCompletion && *m != batchv1.IndexedCompletion {
		c.events.Event(job, corev1.EventTypeWarning, "UnknownCompletionMode", "Skipped Job sync because completion mode is unknown")
		return reconcile.Result{}, nil
	}
	// Before the Pods are listed: what comes between must not count as seen without being in the list.
	caughtUp, wait := c.expected.Satisfied(key)
	members, err := c.members(ctx, job)
	if err != nil {
		return reconcile.Result{}, err
	}
	streak, removing := c.recall(job.UID)
	plan := Decide(Snapshot{Job: job, Pods: members, Removing: removing, Unseen: !caughtUp, Streak: streak, Now: began})
	err = c.act(ctx, key, job, members, &plan)
	c.metrics.synced(job, &plan, err, time.Since(began))
	if err != nil {
		return reconcile.Result{}, err
	}
	c.mu.Lock()
	if m := c.memories[job.UID]; m != nil {
		m.streak = plan.Streak
	}
	c.mu.Unlock()
	after := plan.After
	if !caughtUp && (after == 0 || wait < after) {
		after = wait
	}
	return reconcile.Result{After: after}, nil
}

// members returns the Pods that belong to a Job, of those that name it and those that nobody controls.
func (c *controller) members(ctx context.Context, job *batchv1.Job) ([]*corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector)
	if err != nil {
		return nil, err
	}
	candidates := append(index.Owned[*corev1.Pod](c.pods, job.UID), index.Orphans[*corev1.Pod](c.pods, job.Namespace)...)
	claim := own.Claim[*corev1.Pod]{
		Owner: job, Kind: Kind, Selector: selector, Of: "Pod", Patch: c.write.Patch,
		Finalizers: []string{batchv1.JobTrackingFinalizer},
		Fresh: func(ctx context.Context) (metav1.Object, error) {
			fresh, err := c.client.BatchV1().Jobs(job.Namespace).Get(ctx, job.Name, metav1.GetOptions{})
			if err != nil {
				return nil, err
			}
			return fresh, nil
		},
	}
	adopted, err := claim.Sort(ctx, candidates)
	if err != nil {
		return nil, err
	}
	for i, pod := range adopted {
		// One adopted just now has the finalizer, which the cache does not show.
		if !metav1.IsControlledBy(pod, job) && !hasFinalizer(pod) {
			copied := *pod
			copied.Finalizers = append(copied.Finalizers[:len(copied.Finalizers):len(copied.Finalizers)], batchv1.JobTrackingFinalizer)
			adopted[i] = &copied
		}
	}
	return adopted, nil
}

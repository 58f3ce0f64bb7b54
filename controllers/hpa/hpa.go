// Package hpa scales workloads by their metrics: usage.go computes what one metric asks for and limit.go what bounds leave of
// it, both pure; the rest reads metrics and writes sizes. It looks every 15 s, since metrics tell nobody when they change.
package hpa

import (
	"context"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/reconcile"
)

// Options are the rules for all autoscalers; zero values are upstream's defaults.
type Options struct {
	SyncPeriod                                     time.Duration
	Tolerance                                      float64
	DownscaleStabilization                         time.Duration
	CPUInitializationPeriod, InitialReadinessDelay time.Duration
}

func (o Options) withDefaults() Options {
	fill := func(d *time.Duration, fallback time.Duration) {
		if *d == 0 {
			*d = fallback
		}
	}
	fill(&o.SyncPeriod, 15*time.Second)
	fill(&o.DownscaleStabilization, 5*time.Minute)
	fill(&o.CPUInitializationPeriod, 5*time.Minute)
	fill(&o.InitialReadinessDelay, 30*time.Second)
	if o.Tolerance == 0 {
		o.Tolerance = 0.1
	}
	return o
}

type controller struct {
	client            *client.Set
	events            record.EventRecorder
	options           Options
	source            source
	autoscalers, pods cache.SharedIndexInformer

	mu    sync.Mutex
	pasts map[types.UID]*Past // by autoscaler; each is used by one worker at a time
}

// New returns the controller of HorizontalPodAutoscalers.
func New(set *client.Set, events record.EventRecorder, workers int, options Options) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, options: options.withDefaults(), pasts: map[types.UID]*Past{},
		source:      source{rest: func() rest.Interface { return set.Discovery().RESTClient() }},
		autoscalers: set.Informers.Autoscaling().V2().HorizontalPodAutoscalers().Informer(),
		pods:        set.Informers.Core().V1().Pods().Informer(),
	}
	return reconcile.Controller{
		Name: "horizontal-pod-autoscaler-controller", Queue: "horizontalpodautoscaler", Kind: "HorizontalPodAutoscaler", Workers: workers,
		Watches:   []reconcile.Watch{{Informer: c.autoscalers, Keys: reconcile.Of(c.event)}},
		Synced:    []cache.SharedIndexInformer{c.pods},
		Reconcile: c.reconcile,
	}, nil
}

// event returns an autoscaler whose spec is new; its status is this controller's own doing.
func (c *controller) event(old, a *autoscalingv2.HorizontalPodAutoscaler) []reconcile.Key {
	if a == nil {
		c.mu.Lock()
		delete(c.pasts, old.UID)
		c.mu.Unlock()
		return nil
	}
	if old != nil && equality.Semantic.DeepEqual(old.Spec, a.Spec) {
		return nil
	}
	return []reconcile.Key{{Namespace: a.Namespace, Name: a.Name}}
}

func (c *controller) past(uid types.UID) *Past {
	c.mu.Lock()
	defer c.mu.Unlock()
	past := c.pasts[uid]
	if past == nil {
		past = &Past{}
		c.pasts[uid] = past
	}
	return past
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	autoscaler, found := index.Get[*autoscalingv2.HorizontalPodAutoscaler](c.autoscalers, key.Namespace, key.Name)
	if !found || autoscaler.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	t := &turn{controller: c, a: autoscaler, status: autoscaler.Status.DeepCopy(), now: time.Now()}
	// What fails is told by conditions and events, and tried again with the next look.
	t.run(ctx)
	return reconcile.Result{After: c.options.SyncPeriod}, c.report(ctx, autoscaler, t.status)
}

// report writes a status if it differs.
func (c *controller) report(ctx context.Context, autoscaler *autoscalingv2.HorizontalPodAutoscaler, status *autoscalingv2.HorizontalPodAutoscalerStatus) error {
	if equality.Semantic.DeepEqual(&autoscaler.Status, status) {
		return nil
	}
	updated := autoscaler.DeepCopy()
	updated.Status = *status
	_, err := c.client.AutoscalingV2().HorizontalPodAutoscalers(autoscaler.Namespace).UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // the next look comes soon
	}
	return err
}

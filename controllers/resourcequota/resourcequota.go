// Package resourcequota recounts what the quotas of a namespace limit, and writes it to their status. Admission charges new
// objects there at once; this controller gives back what deleted ones held, and sets right what went wrong.
package resourcequota

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
	"github.com/septet-io/septet/resource/quota"
)

const (
	// recount is when a quota is counted anew though nothing happened: an object that was charged and then refused
	// leaves no event.
	recount = 5 * time.Minute
	// settle is how long the counting of new objects waits. Admission has charged them already.
	settle = 5 * time.Second
	// quiet is for how long nobody may have charged a quota before its usage is lowered. Admission charges an object before
	// it is stored: what is charged and cannot be counted yet must not be given back.
	quiet = 500 * time.Millisecond
)

var (
	podsResource     = schema.GroupResource{Resource: "pods"}
	servicesResource = schema.GroupResource{Resource: "services"}
	claimsResource   = schema.GroupResource{Resource: "persistentvolumeclaims"}
)

type controller struct {
	client *client.Set
	quotas cache.SharedIndexInformer
	// measured are the resources whose objects use different amounts; others are only counted.
	measured map[schema.GroupResource]cache.SharedIndexInformer
	counts   counts

	mu sync.Mutex
	// lowering are quotas that hold more than could be counted: quota to its resourceVersion then, and since when.
	lowering map[reconcile.Key]lowering
}

// lowering is a quota's state that waits to be quiet for long enough.
type lowering struct {
	version string
	since   time.Time
}

// New returns the controller. Its keys are quotas.
func New(set *client.Set, workers int) (reconcile.Controller, error) {
	core := set.Informers.Core().V1()
	c := &controller{
		client: set, quotas: core.ResourceQuotas().Informer(), lowering: map[reconcile.Key]lowering{},
		measured: map[schema.GroupResource]cache.SharedIndexInformer{
			podsResource: core.Pods().Informer(), servicesResource: core.Services().Informer(), claimsResource: core.PersistentVolumeClaims().Informer(),
		},
	}
	c.counts = counts{client: set, changed: c.changed}
	watches := []reconcile.Watch{{Informer: c.quotas, Keys: reconcile.Of(respecified)}}
	for of, informer := range c.measured {
		watches = append(watches, reconcile.Watch{
			Informer: informer,
			Keys: func(old, obj any) []reconcile.Key {
				if !matters(of, old, obj) {
					return nil
				}
				return c.quotasOf(old, obj)
			},
			Later: func(old, _ any) time.Duration {
				if old == nil {
					return settle
				}
				return 0
			},
		})
	}
	return reconcile.Controller{
		Name: "resourcequota-controller", Queue: "resourcequota_primary", Kind: "ResourceQuota", Workers: workers,
		Watches: watches, Start: c.counts.start, Reconcile: c.reconcile,
	}, nil
}

// respecified returns a quota that is new or has other limits than before. Its usage is written by this controller and by
// admission, and needs no answer.
func respecified(old, q *corev1.ResourceQuota) []reconcile.Key {
	if q == nil || old != nil && equality.Semantic.DeepEqual(old.Spec, q.Spec) {
		return nil
	}
	return []reconcile.Key{{Namespace: q.Namespace, Name: q.Name}}
}

// matters says whether an event of an object can change what is used.
func matters(of schema.GroupResource, old, obj any) bool {
	if old == nil || obj == nil {
		return true
	}
	now := time.Now()
	return !equality.Semantic.DeepEqual(quota.Usage(of, old, now), quota.Usage(of, obj, now))
}

// quotasOf returns the quotas of an object's namespace.
func (c *controller) quotasOf(old, obj any) []reconcile.Key {
	if obj == nil {
		obj = old
	}
	key, ok := reconcile.ObjectKey(obj)
	if !ok {
		return nil
	}
	return c.inNamespace(key.Namespace)
}

func (c *controller) inNamespace(namespace string) []reconcile.Key {
	var keys []reconcile.Key
	for _, q := range index.InNamespace[*corev1.ResourceQuota](c.quotas, namespace) {
		keys = append(keys, reconcile.Key{Namespace: namespace, Name: q.Name})
	}
	return keys
}

// changed tells the quotas of a namespace that name a resource that one of its objects has come or gone.
func (c *controller) changed(of schema.GroupResource, namespace string, enqueue func(reconcile.Key)) {
	for _, q := range index.InNamespace[*corev1.ResourceQuota](c.quotas, namespace) {
		for name := range q.Spec.Hard {
			if counted, ok := quota.CountedBy(name); ok && counted == of {
				enqueue(reconcile.Key{Namespace: namespace, Name: q.Name})
				break
			}
		}
	}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	q, found := index.Get[*corev1.ResourceQuota](c.quotas, key.Namespace, key.Name)
	if !found || q.DeletionTimestamp != nil {
		c.forget(key)
		return reconcile.Result{}, nil
	}
	used, err := c.count(q)
	if err != nil {
		return reconcile.Result{}, err
	}
	again := reconcile.Result{After: recount}
	if equality.Semantic.DeepEqual(q.Status.Hard, q.Spec.Hard) && equality.Semantic.DeepEqual(q.Status.Used, used) {
		c.forget(key)
		return again, nil
	}
	if wait := c.wait(key, q, used); wait > 0 {
		return reconcile.Result{After: wait}, nil
	}
	q = q.DeepCopy()
	q.Status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard, Used: used}
	written, err := c.client.CoreV1().ResourceQuotas(key.Namespace).UpdateStatus(ctx, q, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("update status: %w", err)
	}
	reconcile.Note(ctx, journal.Record{
		Step: "status", Kind: "ResourceQuota", Namespace: key.Namespace, Name: key.Name, UID: written.UID, Made: written.ResourceVersion,
		Note: quota.Print(used, quota.Names(used)),
	})
	return again, nil
}

// wait says for how long a quota must stay as it is before its usage may be lowered to what was counted; 0 if it has been
// for long enough, or is not lowered. A full quota is not charged, so that one that has something to give back becomes quiet.
func (c *controller) wait(key reconcile.Key, q *corev1.ResourceQuota, used corev1.ResourceList) time.Duration {
	if len(quota.Exceeded(quota.Only(q.Status.Used, used), used)) == 0 {
		c.forget(key)
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, found := c.lowering[key]
	if !found || l.version != q.ResourceVersion {
		l = lowering{version: q.ResourceVersion, since: time.Now()}
		c.lowering[key] = l
	}
	return max(0, quiet-time.Since(l.since))
}

func (c *controller) forget(key reconcile.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lowering, key)
}

// count returns what is used of all that a quota limits.
func (c *controller) count(q *corev1.ResourceQuota) (corev1.ResourceList, error) {
	used := corev1.ResourceList{}
	for name := range q.Spec.Hard {
		used[name] = zero
	}
	now := time.Now()
	for of, informer := range c.measured {
		for _, object := range index.InNamespace[any](informer, q.Namespace) {
			if quota.Matches(q, object) {
				quota.Add(used, quota.Only(quota.Usage(of, object, now), q.Spec.Hard))
			}
		}
	}
	if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return used, nil // what is only counted is in no scope
	}
	for name := range q.Spec.Hard {
		of, ok := quota.CountedBy(name)
		if _, measured := c.measured[of]; !ok || measured {
			continue
		}
		n, err := c.counts.of(of, q.Namespace)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		used[name] = n
	}
	return used, nil
}

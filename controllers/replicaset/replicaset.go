// Package replicaset keeps as many Pods of a ReplicaSet running as it asks for: it adopts and releases Pods, creates
// and deletes them, and reports counts. ReplicationControllers are run by the same loop through a Form.
package replicaset

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what Pods name in their controllerRef.
var Kind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// burst is the most Pods that one turn creates or deletes.
const burst = 500

// Form is how the loop meets the kind that it runs: ReplicaSets themselves, or another kind in their shape.
type Form struct {
	Name, Queue string // of the controller, as in reconcile.Controller
	Kind        schema.GroupVersionKind
	Informer    cache.SharedIndexInformer
	// Terminating says that the kind's status counts the Pods being deleted.
	Terminating bool
	// Shape returns an informer's object as a ReplicaSet with its TypeMeta empty, nil if it is none. Object is the
	// reverse for events: the object that is shown as the cause of what happened.
	Shape  func(obj any) *appsv1.ReplicaSet
	Object func(*appsv1.ReplicaSet) runtime.Object
	// Get reads the object from the API, UpdateStatus writes its status.
	Get          func(ctx context.Context, namespace, name string) (*appsv1.ReplicaSet, error)
	UpdateStatus func(context.Context, *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error)
}

// controller holds what the loop needs; all of it may be used by several workers at once.
type controller struct {
	Form
	pods     cache.SharedIndexInformer
	write    pods.Writer
	expected *own.Expectations
	owners   own.Owners[metav1.Object] // of Pods
}

// New returns the controller of ReplicaSets.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	return NewFor(set, events, workers, Form{
		Name: "replicaset-controller", Queue: "replicaset", Kind: Kind,
		Informer: set.Informers.Apps().V1().ReplicaSets().Informer(), Terminating: true,
		Shape:  func(obj any) *appsv1.ReplicaSet { rs, _ := obj.(*appsv1.ReplicaSet); return rs },
		Object: func(rs *appsv1.ReplicaSet) runtime.Object { return rs },
		Get: func(ctx context.Context, namespace, name string) (*appsv1.ReplicaSet, error) {
			return set.AppsV1().ReplicaSets(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		UpdateStatus: func(ctx context.Context, rs *appsv1.ReplicaSet) (*appsv1.ReplicaSet, error) {
			return set.AppsV1().ReplicaSets(rs.Namespace).UpdateStatus(ctx, rs, metav1.UpdateOptions{})
		},
	})
}

// NewFor returns the controller of any kind that has the form of a ReplicaSet.
func NewFor(set *client.Set, events record.EventRecorder, workers int, form Form) (reconcile.Controller, error) {
	c := &controller{
		Form:     form,
		pods:     set.Informers.Core().V1().Pods().Informer(),
		write:    pods.Writer{Client: set, Events: events},
		expected: own.NewExpectations(),
	}
	c.owners = own.Owners[metav1.Object]{
		Informer: form.Informer, Kind: form.Kind, Selector: func(obj metav1.Object) *metav1.LabelSelector { return form.Shape(obj).Spec.Selector },
	}
	for _, informer := range []cache.SharedIndexInformer{c.pods, c.Informer} {
		if err := index.Controller(informer); err != nil {
			return reconcile.Controller{}, err
		}
	}
	return reconcile.Controller{
		Name: form.Name, Queue: form.Queue, Kind: form.Kind.Kind, Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.Informer},
			{Informer: c.pods, Keys: reconcile.Of(c.podEvent)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// get returns the informer's state of an object, nil if it is gone.
func (c *controller) get(key reconcile.Key) *appsv1.ReplicaSet {
	obj, _ := index.Get[any](c.Informer, key.Namespace, key.Name)
	if obj == nil {
		return nil
	}
	return c.Shape(obj)
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	rs := c.get(key)
	if rs == nil {
		c.expected.Forget(key)
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, nil // validation keeps such objects out; no retry could mend one
	}
	caughtUp, wait := c.expected.Satisfied(key)
	owned := index.Owned[*corev1.Pod](c.pods, rs.UID)
	active, err := c.claim(ctx, rs, selector, owned)
	if err != nil {
		return reconcile.Result{}, err
	}
	var failed error
	if caughtUp && rs.DeletionTimestamp == nil {
		failed = c.scale(ctx, key, rs, active)
	}
	now := time.Now()
	terminating := pods.Keep(owned, pods.Terminating, func(p *corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) })
	status := Status(rs, active, len(terminating), failed, now)
	if !c.Terminating {
		status.TerminatingReplicas = nil
	}
	if err := c.report(ctx, rs, status); err != nil {
		return reconcile.Result{}, err
	}
	if failed != nil {
		return reconcile.Result{}, failed
	}
	next := pods.UntilAvailable(active, rs.Spec.MinReadySeconds, now)
	if !caughtUp && (next == 0 || wait < next) {
		next = wait
	}
	return reconcile.Result{After: next}, nil
}

// claim returns the active Pods that belong to rs, of those that name it and those that nobody controls.
func (c *controller) claim(ctx context.Context, rs *appsv1.ReplicaSet, selector labels.Selector, owned []*corev1.Pod) ([]*corev1.Pod, error) {
	candidates := pods.Keep(append(owned[:len(owned):len(owned)], index.Orphans[*corev1.Pod](c.pods, rs.Namespace)...), pods.Active)
	claim := own.Claim[*corev1.Pod]{
		Owner: rs, Kind: c.Kind, Selector: selector, Of: "Pod", Patch: c.write.Patch,
		Fresh: func(ctx context.Context) (metav1.Object, error) {
			fresh, err := c.Get(ctx, rs.Namespace, rs.Name)
			if err != nil {
				return nil, err
			}
			return fresh, nil
		},
	}
	return claim.Sort(ctx, candidates)
}

// scale creates or deletes Pods until there are as many as wanted, or burst of them.
func (c *controller) scale(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet, active []*corev1.Pod) error {
	switch missing := int(*rs.Spec.Replicas) - len(active); {
	case missing > 0:
		return c.create(ctx, key, rs, min(missing, burst))
	case missing < 0:
		return c.delete(ctx, key, rs, pods.ToDelete(active, c.related(rs, active), min(-missing, burst), time.Now()))
	}
	return nil
}

func (c *controller) create(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet, n int) error {
	c.expected.Creations(key, n)
	object, ref := c.Object(rs), own.Reference(rs, c.Kind)
	created, err := pods.SlowStart(n, func(int) error {
		_, err := c.write.Create(ctx, object, pods.FromTemplate(&rs.Spec.Template, rs, ref))
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			c.expected.Created(key) // it will not come
			return nil
		}
		return err
	})
	c.expected.NotCreated(key, n-created)
	return err
}

func (c *controller) delete(ctx context.Context, key reconcile.Key, rs *appsv1.ReplicaSet, doomed []*corev1.Pod) error {
	uids := make([]string, len(doomed))
	for i, pod := range doomed {
		uids[i] = string(pod.UID)
	}
	c.expected.Deletions(key, uids...)
	object := c.Object(rs)
	errs := pods.Parallel(len(doomed), func(i int) error {
		err := c.write.Delete(ctx, object, doomed[i])
		if err != nil {
			c.expected.Deleted(key, uids[i])
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// related returns the Pods of all sets that have the same controller as rs: those of a Deployment's older and
// newer ReplicaSets share the nodes with its own.
func (c *controller) related(rs *appsv1.ReplicaSet, active []*corev1.Pod) []*corev1.Pod {
	ref := metav1.GetControllerOfNoCopy(rs)
	if ref == nil {
		return active
	}
	var all []*corev1.Pod
	for _, sibling := range index.Owned[metav1.Object](c.Informer, ref.UID) {
		all = append(all, index.Owned[*corev1.Pod](c.pods, sibling.GetUID())...)
	}
	return all
}

// report writes the status if it differs, once more on the object's newest state if somebody else wrote in between.
func (c *controller) report(ctx context.Context, rs *appsv1.ReplicaSet, status appsv1.ReplicaSetStatus) error {
	if sameStatus(&rs.Status, &status) {
		return nil
	}
	for try := 0; ; try++ {
		updated := *rs // shallow: only the status is replaced
		updated.Status = status
		_, err := c.UpdateStatus(ctx, &updated)
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if try > 0 || !apierrors.IsConflict(err) {
			return fmt.Errorf("update status: %w", err)
		}
		if rs, err = c.Get(ctx, rs.Namespace, rs.Name); err != nil {
			return fmt.Errorf("update status: %w", err)
		}
	}
}

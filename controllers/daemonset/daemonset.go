// Package daemonset runs one Pod of a DaemonSet on every node that it selects. Decide, a pure function, says what to
// do; this file, event.go and history.go read and write.
package daemonset

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/controllers/own"
	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/reconcile"
)

// Kind is what Pods name in their controllerRef.
var Kind = appsv1.SchemeGroupVersion.WithKind("DaemonSet")

// burst is the most Pods that one turn creates or deletes.
const burst = 250

type controller struct {
	client                       *client.Set
	events                       record.EventRecorder
	write                        pods.Writer
	expected                     *own.Expectations
	failures                     *flowcontrol.Backoff
	sets, pods, nodes, revisions cache.SharedIndexInformer
	owners                       own.Owners[*appsv1.DaemonSet] // of Pods
}

// New returns the controller of DaemonSets.
func New(set *client.Set, events record.EventRecorder, workers int) (reconcile.Controller, error) {
	c := &controller{
		client: set, events: events, write: pods.Writer{Client: set, Events: events},
		expected:  own.NewExpectations(),
		failures:  flowcontrol.NewBackOff(time.Second, 15*time.Minute),
		sets:      set.Informers.Apps().V1().DaemonSets().Informer(),
		pods:      set.Informers.Core().V1().Pods().Informer(),
		nodes:     set.Informers.Core().V1().Nodes().Informer(),
		revisions: set.Informers.Apps().V1().ControllerRevisions().Informer(),
	}
	c.owners = own.Owners[*appsv1.DaemonSet]{
		Informer: c.sets, Kind: Kind, Selector: func(set *appsv1.DaemonSet) *metav1.LabelSelector { return set.Spec.Selector },
	}
	for _, informer := range []cache.SharedIndexInformer{c.pods, c.revisions} {
		if err := index.Controller(informer); err != nil {
			return reconcile.Controller{}, err
		}
	}
	return reconcile.Controller{
		Name: "daemonset-controller", Queue: "daemonset", Kind: Kind.Kind, Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.sets},
			{Informer: c.pods, Keys: reconcile.Of(c.podEvent)},
			{Informer: c.nodes, Keys: reconcile.Of(c.nodeEvent)},
		},
		Synced:    []cache.SharedIndexInformer{c.revisions},
		Reconcile: c.reconcile,
	}, nil
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	set, found := index.Get[*appsv1.DaemonSet](c.sets, key.Namespace, key.Name)
	if !found {
		c.expected.Forget(key)
		return reconcile.Result{}, nil
	}
	if set.Spec.Selector == nil || equality.Semantic.DeepEqual(set.Spec.Selector, &metav1.LabelSelector{}) {
		c.events.Event(set, corev1.EventTypeWarning, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.")
		return reconcile.Result{}, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return reconcile.Result{}, nil // validation keeps such objects out; no retry could mend one
	}
	history, err := c.history(ctx, set, selector)
	if err != nil {
		return reconcile.Result{}, err
	}
	caughtUp, wait := c.expected.Satisfied(key)
	members, err := c.members(ctx, set, selector)
	if err != nil {
		return reconcile.Result{}, err
	}
	plan := Decide(Snapshot{
		Set: set, Nodes: index.All[*corev1.Node](c.nodes), Pods: members, Hash: history.hash, Unseen: !caughtUp, Now: time.Now(),
		Backoff: func(node string) time.Duration { return c.backoff(set, node) },
	})
	acted := c.act(ctx, key, set, history.hash, plan)
	if err := c.report(ctx, set, plan.Status); err != nil {
		return reconcile.Result{}, err
	}
	if acted != nil {
		return reconcile.Result{}, acted
	}
	if !caughtUp {
		return reconcile.Result{After: wait}, nil
	}
	return reconcile.Result{After: plan.After}, c.trim(ctx, set, history, members)
}

// backoff returns how long the replacement of a failed Pod on a node is still put off.
func (c *controller) backoff(set *appsv1.DaemonSet, node string) time.Duration {
	id, now := string(set.UID)+"/"+node, c.failures.Clock.Now()
	if !c.failures.IsInBackOffSinceUpdate(id, now) {
		return 0
	}
	return c.failures.Get(id)
}

// act carries a plan out.
func (c *controller) act(ctx context.Context, key reconcile.Key, set *appsv1.DaemonSet, hash string, plan Plan) error {
	for _, event := range plan.Events {
		c.events.Event(set, event.Type, event.Reason, event.Message)
	}
	for _, node := range plan.Failed {
		c.failures.Next(string(set.UID)+"/"+node, c.failures.Clock.Now())
	}
	create, doomed := plan.Create[:min(burst, len(plan.Create))], plan.Delete[:min(burst, len(plan.Delete))]
	uids := make([]string, len(doomed))
	for i, pod := range doomed {
		uids[i] = string(pod.UID)
	}
	if len(create) > 0 {
		c.expected.Creations(key, len(create))
	}
	if len(doomed) > 0 {
		c.expected.Deletions(key, uids...)
	}
	errs := pods.Parallel(len(doomed), func(i int) error {
		err := c.write.Delete(ctx, set, doomed[i])
		if err != nil {
			c.expected.Deleted(key, uids[i])
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
	created, err := pods.SlowStart(len(create), func(i int) error {
		_, err := c.write.Create(ctx, set, build(set, hash, create[i]))
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			c.expected.Created(key) // it will not come
			return nil
		}
		return err
	})
	c.expected.NotCreated(key, len(create)-created)
	if err == nil && len(errs) > 0 {
		err = errs[0]
	}
	return err
}

// members returns the Pods that belong to a set, of those that name it and those that nobody controls.
func (c *controller) members(ctx context.Context, set *appsv1.DaemonSet, selector labels.Selector) ([]*corev1.Pod, error) {
	candidates := append(index.Owned[*corev1.Pod](c.pods, set.UID), index.Orphans[*corev1.Pod](c.pods, set.Namespace)...)
	claim := own.Claim[*corev1.Pod]{Owner: set, Kind: Kind, Selector: selector, Of: "Pod", Fresh: c.fresh(set), Patch: c.write.Patch}
	return claim.Sort(ctx, candidates)
}

func (c *controller) fresh(set *appsv1.DaemonSet) func(context.Context) (metav1.Object, error) {
	return func(ctx context.Context) (metav1.Object, error) {
		fresh, err := c.client.AppsV1().DaemonSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return fresh, nil
	}
}

// report writes the status if it differs, once more on the object's newest state if somebody else wrote in between.
func (c *controller) report(ctx context.Context, set *appsv1.DaemonSet, status appsv1.DaemonSetStatus) error {
	if equality.Semantic.DeepEqual(set.Status, status) {
		return nil
	}
	for try := 0; ; try++ {
		updated := *set // shallow: the status is replaced whole
		updated.Status = status
		_, err := c.client.AppsV1().DaemonSets(set.Namespace).UpdateStatus(ctx, &updated, metav1.UpdateOptions{})
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if try > 0 || !apierrors.IsConflict(err) {
			return err
		}
		if set, err = c.client.AppsV1().DaemonSets(set.Namespace).Get(ctx, set.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
}

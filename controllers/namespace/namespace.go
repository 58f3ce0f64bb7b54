// Package namespace empties namespaces that are being deleted: Pods first, since what they use must outlive them, then
// everything else that discovery lists; when nothing is left it lets the namespace go. What holds it up is told by conditions.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type controller struct {
	client           *client.Set
	namespaces, pods cache.SharedIndexInformer
}

// New returns the controller that deletes namespaces.
func New(set *client.Set, workers int) (reconcile.Controller, error) {
	c := &controller{
		client:     set,
		namespaces: set.Informers.Core().V1().Namespaces().Informer(),
		pods:       set.Informers.Core().V1().Pods().Informer(),
	}
	return reconcile.Controller{
		Name: "namespace-controller", Queue: "namespace", Kind: "Namespace", Workers: workers,
		Watches: []reconcile.Watch{
			{Informer: c.namespaces, Keys: reconcile.Of(dying)},
			{Informer: c.pods, Keys: reconcile.Of(c.podGone)},
		},
		Reconcile: c.reconcile,
		// Most waits end with a Pod's deletion, which is an event. Finalizers of other kinds are looked for again, ever more rarely.
		Backoff: reconcile.Backoff{Base: 50 * time.Millisecond, Max: time.Minute},
	}, nil
}

// dying returns a namespace that is being deleted, unless only its status has changed: that is this controller's own doing.
func dying(old, namespace *corev1.Namespace) []reconcile.Key {
	if namespace == nil || namespace.DeletionTimestamp == nil {
		return nil
	}
	if old != nil && old.DeletionTimestamp != nil && slices.Equal(old.Spec.Finalizers, namespace.Spec.Finalizers) {
		return nil
	}
	return []reconcile.Key{{Name: namespace.Name}}
}

// podGone returns the namespace that a Pod has just left, if it is being deleted and this was its last.
func (c *controller) podGone(old, pod *corev1.Pod) []reconcile.Key {
	if pod != nil {
		return nil
	}
	namespace, found := index.Get[*corev1.Namespace](c.namespaces, "", old.Namespace)
	if !found || namespace.DeletionTimestamp == nil || len(index.InNamespace[*corev1.Pod](c.pods, old.Namespace)) > 0 {
		return nil
	}
	return []reconcile.Key{{Name: old.Namespace}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	cached, found := index.Get[*corev1.Namespace](c.namespaces, "", key.Name)
	if !found || cached.DeletionTimestamp == nil {
		return reconcile.Result{}, nil
	}
	// Nothing is deleted on the word of a cache alone: the namespace may have been made anew under the same name.
	namespace, err := c.client.CoreV1().Namespaces().Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if namespace.DeletionTimestamp == nil || namespace.UID != cached.UID || !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return reconcile.Result{}, nil
	}
	outcome := c.empty(ctx, namespace.Name)
	namespace, err = c.report(ctx, namespace, outcome)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := outcome.err(); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, c.release(ctx, namespace)
}

// report writes the conditions that an outcome calls for, and phase Terminating.
func (c *controller) report(ctx context.Context, namespace *corev1.Namespace, o outcome) (*corev1.Namespace, error) {
	status := namespace.Status.DeepCopy()
	status.Phase = corev1.NamespaceTerminating
	status.Conditions = Conditions(status.Conditions, o, time.Now())
	if equality.Semantic.DeepEqual(&namespace.Status, status) {
		return namespace, nil
	}
	updated := namespace.DeepCopy()
	updated.Status = *status
	written, err := c.client.CoreV1().Namespaces().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("update status: %w", err)
	}
	return written, nil
}

// release removes the finalizer that kept an empty namespace.
func (c *controller) release(ctx context.Context, namespace *corev1.Namespace) error {
	namespace = namespace.DeepCopy()
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err := c.client.CoreV1().Namespaces().Finalize(ctx, namespace, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "finalize", Kind: "Namespace", Name: namespace.Name, UID: namespace.UID})
	}
	return err
}

// outcome is what one pass over a namespace's contents found and did.
type outcome struct {
	discovery  error          // groups that could not be listed
	parsing    error          // group versions that make no sense
	deletion   []error        // resources that could not be deleted
	remaining  map[string]int // objects left, by resource and group: "pods.", "certificates.example.com"
	finalizers map[string]int // objects left, by finalizer
}

// err says what keeps the namespace from going; nil if it is empty.
func (o *outcome) err() error {
	if err := errors.Join(append([]error{o.discovery, o.parsing}, o.deletion...)...); err != nil {
		return err
	}
	if len(o.remaining) > 0 {
		return reconcile.Wait("%s", o.remainingMessage())
	}
	return nil
}

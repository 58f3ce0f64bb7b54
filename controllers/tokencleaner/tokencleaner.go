// Package tokencleaner deletes bootstrap tokens, by which new nodes join, when they have expired.
package tokencleaner

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const (
	secretType = "bootstrap.kubernetes.io/token"
	expiration = "expiration" // key of the Secret's data: RFC 3339
)

type controller struct {
	client  *client.Set
	secrets cache.SharedIndexInformer
}

// New returns the controller. Its keys are Secrets in kube-system.
func New(set *client.Set) (reconcile.Controller, error) {
	c := &controller{
		client: set,
		// An informer of its own: of all Secrets only those of one type are to be held in memory.
		secrets: informers.NewFilteredSecretInformer(set.Interface, metav1.NamespaceSystem, 0, cache.Indexers{},
			func(options *metav1.ListOptions) {
				options.FieldSelector = fields.OneTermEqualSelector("type", secretType).String()
			}),
	}
	return reconcile.Controller{
		Name: "token-cleaner-controller", Queue: "token_cleaner", Kind: "Secret",
		Start:     c.start,
		Reconcile: c.reconcile,
	}, nil
}

// start runs the controller's own informer and feeds the queue from it.
func (c *controller) start(ctx context.Context, enqueue func(reconcile.Key)) error {
	add := func(obj any) {
		if key, ok := reconcile.ObjectKey(obj); ok {
			enqueue(key)
		}
	}
	if _, err := c.secrets.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }}); err != nil {
		return err
	}
	go c.secrets.RunWithContext(ctx)
	return nil
}

// Left returns how long a token still holds; false if it never ends or says so in a way that cannot be read.
func Left(secret *corev1.Secret, now time.Time) (time.Duration, bool) {
	end, err := time.Parse(time.RFC3339, string(secret.Data[expiration]))
	if err != nil {
		return 0, false
	}
	return end.Sub(now), true
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	secret, found := index.Get[*corev1.Secret](c.secrets, key.Namespace, key.Name)
	if !found || secret.Type != secretType {
		return reconcile.Result{}, nil
	}
	left, ends := Left(secret, time.Now())
	if !ends || left > 0 {
		return reconcile.Result{After: max(0, left)}, nil
	}
	err := c.client.CoreV1().Secrets(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return reconcile.Result{}, nil // gone, or prolonged
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Secret", Namespace: key.Namespace, Name: key.Name, UID: secret.UID, Note: "the token has expired"})
	}
	return reconcile.Result{}, err
}

package bootstraptoken

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

type cleaner struct {
	client  *client.Set
	secrets cache.SharedIndexInformer
}

// NewCleaner returns the controller that deletes tokens when they have expired. Its keys are Secrets in kube-system.
func NewCleaner(set *client.Set) (reconcile.Controller, error) {
	c := &cleaner{client: set, secrets: tokens(set)}
	return reconcile.Controller{
		Name: "token-cleaner-controller", Queue: "token_cleaner", Kind: "Secret",
		Start:     c.start,
		Reconcile: c.reconcile,
	}, nil
}

// start runs the controller's own informer and feeds the queue from it.
func (c *cleaner) start(ctx context.Context, enqueue func(reconcile.Key)) error {
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

func (c *cleaner) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	secret, found := index.Get[*corev1.Secret](c.secrets, key.Namespace, key.Name)
	if !found || secret.Type != secretType {
		return reconcile.Result{}, nil
	}
	rest, ends := left(secret, time.Now())
	if !ends || rest > 0 {
		return reconcile.Result{After: max(0, rest)}, nil
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

// Package serviceaccount sees to it that every namespace has the ServiceAccount "default", which Pods run under that
// name no other, and cleans up token Secrets of old that nobody uses (legacy.go).
package serviceaccount

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// name of the ServiceAccount that every namespace has.
const name = "default"

type controller struct {
	client               *client.Set
	namespaces, accounts cache.SharedIndexInformer
}

// New returns the controller. Its keys are namespaces.
func New(set *client.Set) (reconcile.Controller, error) {
	c := &controller{
		client:     set,
		namespaces: set.Informers.Core().V1().Namespaces().Informer(),
		accounts:   set.Informers.Core().V1().ServiceAccounts().Informer(),
	}
	return reconcile.Controller{
		Name: "serviceaccount-controller", Queue: "serviceaccount", Kind: "Namespace",
		Watches: []reconcile.Watch{
			{Informer: c.namespaces},
			{Informer: c.accounts, Keys: reconcile.Of(deleted)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// deleted returns the namespace that has just lost its default account.
func deleted(old, account *corev1.ServiceAccount) []reconcile.Key {
	if account != nil || old.Name != name {
		return nil
	}
	return []reconcile.Key{{Name: old.Namespace}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	namespace, found := index.Get[*corev1.Namespace](c.namespaces, "", key.Name)
	if !found || namespace.Status.Phase != corev1.NamespaceActive {
		return reconcile.Result{}, nil
	}
	if _, found := index.Get[*corev1.ServiceAccount](c.accounts, key.Name, name); found {
		return reconcile.Result{}, nil
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: key.Name, Name: name}}
	made, err := c.client.CoreV1().ServiceAccounts(key.Name).Create(ctx, account, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	reconcile.Note(ctx, journal.Record{Step: "create", Kind: "ServiceAccount", Namespace: key.Name, Name: name, UID: made.UID, Made: made.ResourceVersion})
	return reconcile.Result{}, nil
}

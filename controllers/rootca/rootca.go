// Package rootca publishes the API server's CA bundle to every namespace, in the ConfigMap kube-root-ca.crt, where the
// token volume of every Pod takes it from.
package rootca

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const (
	// Name of the ConfigMap, and the key of the bundle in it.
	Name, bundleKey = "kube-root-ca.crt", "ca.crt"
	descriptionKey  = "kubernetes.io/description"
	// description is part of the API: what the bundle may be relied on for.
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

type controller struct {
	client              *client.Set
	bundle              string
	namespaces, configs cache.SharedIndexInformer
}

// New returns the controller that publishes a bundle (PEM). Its keys are namespaces.
func New(set *client.Set, bundle []byte) (reconcile.Controller, error) {
	c := &controller{
		client: set, bundle: string(bundle),
		namespaces: set.Informers.Core().V1().Namespaces().Informer(),
		configs:    set.Informers.Core().V1().ConfigMaps().Informer(),
	}
	return reconcile.Controller{
		Name: "root-ca-certificate-publisher-controller", Queue: "root_ca_cert_publisher", Kind: "Namespace",
		Watches: []reconcile.Watch{
			{Informer: c.namespaces},
			{Informer: c.configs, Keys: reconcile.Of(changed)},
		},
		Reconcile: c.reconcile,
	}, nil
}

// changed returns the namespace whose bundle was made, changed or deleted.
func changed(old, config *corev1.ConfigMap) []reconcile.Key {
	if config == nil {
		config = old
	}
	if config.Name != Name {
		return nil
	}
	return []reconcile.Key{{Name: config.Namespace}}
}

func (c *controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	namespace, found := index.Get[*corev1.Namespace](c.namespaces, "", key.Name)
	if !found || namespace.Status.Phase == corev1.NamespaceTerminating {
		return reconcile.Result{}, nil
	}
	there, found := index.Get[*corev1.ConfigMap](c.configs, key.Name, Name)
	if !found {
		return reconcile.Result{}, c.create(ctx, key.Name)
	}
	if len(there.Data) == 1 && there.Data[bundleKey] == c.bundle && len(there.BinaryData) == 0 && there.Annotations[descriptionKey] != "" {
		return reconcile.Result{}, nil
	}
	config := there.DeepCopy()
	config.Data, config.BinaryData = map[string]string{bundleKey: c.bundle}, nil
	config.Annotations = maps.Clone(config.Annotations)
	metav1.SetMetaDataAnnotation(&config.ObjectMeta, descriptionKey, description)
	made, err := c.client.CoreV1().ConfigMaps(key.Name).Update(ctx, config, metav1.UpdateOptions{})
	if err != nil {
		return reconcile.Result{}, err
	}
	note(ctx, "update", made)
	return reconcile.Result{}, nil
}

func (c *controller) create(ctx context.Context, namespace string) error {
	made, err := c.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: Name, Annotations: map[string]string{descriptionKey: description}},
		Data:       map[string]string{bundleKey: c.bundle},
	}, metav1.CreateOptions{})
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	note(ctx, "create", made)
	return nil
}

func note(ctx context.Context, step string, made *corev1.ConfigMap) {
	reconcile.Note(ctx, journal.Record{Step: step, Kind: "ConfigMap", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion})
}

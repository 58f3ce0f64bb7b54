package serviceaccount

import (
	"bytes"
	"context"
	"maps"

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

type tokens struct {
	client            *client.Set
	minter            *minter
	bundle            []byte
	accounts, secrets cache.SharedIndexInformer
}

// NewTokens returns the controller that fills Secrets of type kubernetes.io/service-account-token, which people make by hand, with a
// token, and deletes them with their account. privateKey (PEM) signs; bundle (PEM, may be empty) is put beside the token.
func NewTokens(set *client.Set, workers int, privateKey, bundle []byte) (reconcile.Controller, error) {
	m, err := newMinter(privateKey)
	if err != nil {
		return reconcile.Controller{}, err
	}
	c := &tokens{
		client: set, minter: m, bundle: bundle,
		accounts: set.Informers.Core().V1().ServiceAccounts().Informer(),
		// An informer of its own: of all Secrets only those of one type are to be held in memory.
		secrets: informers.NewFilteredSecretInformer(set.Interface, metav1.NamespaceAll, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
			func(options *metav1.ListOptions) {
				options.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)).String()
			}),
	}
	return reconcile.Controller{
		Name: "serviceaccount-token-controller", Queue: "serviceaccount_tokens_secret", Kind: "Secret", Workers: workers,
		Watches:   []reconcile.Watch{{Informer: c.accounts, Keys: reconcile.Of(c.accountEvent)}},
		Start:     c.start,
		Reconcile: c.reconcile,
	}, nil
}

// start runs the controller's own informer and feeds the queue from it.
func (c *tokens) start(ctx context.Context, enqueue func(reconcile.Key)) error {
	add := func(obj any) {
		if key, ok := reconcile.ObjectKey(obj); ok {
			enqueue(key)
		}
	}
	registration, err := c.secrets.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, obj any) { add(obj) }})
	if err != nil {
		return err
	}
	go c.secrets.RunWithContext(ctx)
	select {
	case <-registration.HasSyncedChecker().Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accountEvent returns the Secrets of an account that came or went.
func (c *tokens) accountEvent(old, account *corev1.ServiceAccount) []reconcile.Key {
	if old != nil && account != nil {
		return nil
	}
	if account == nil {
		account = old
	}
	var keys []reconcile.Key
	for _, secret := range index.InNamespace[*corev1.Secret](c.secrets, account.Namespace) {
		if secret.Annotations[corev1.ServiceAccountNameKey] == account.Name {
			keys = append(keys, reconcile.Key{Namespace: secret.Namespace, Name: secret.Name})
		}
	}
	return keys
}

func (c *tokens) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	secret, found := index.Get[*corev1.Secret](c.secrets, key.Namespace, key.Name)
	if !found || secret.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	name, uid := secret.Annotations[corev1.ServiceAccountNameKey], secret.Annotations[corev1.ServiceAccountUIDKey]
	if name == "" {
		return reconcile.Result{}, nil
	}
	account, found := index.Get[*corev1.ServiceAccount](c.accounts, key.Namespace, name)
	if !found || (uid != "" && uid != string(account.UID)) {
		// Nothing is deleted on the word of a cache alone.
		fresh, err := c.client.CoreV1().ServiceAccounts(key.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && uid != "" && uid != string(fresh.UID)) {
			return reconcile.Result{}, c.delete(ctx, secret)
		}
		if err != nil {
			return reconcile.Result{}, err
		}
		account = fresh
	}
	return reconcile.Result{}, c.fill(ctx, secret, account)
}

func (c *tokens) delete(ctx context.Context, secret *corev1.Secret) error {
	err := c.client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, *metav1.NewPreconditionDeleteOptions(string(secret.UID)))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID, Note: "its account is gone"})
	}
	return err
}

// fill writes what the Secret lacks.
func (c *tokens) fill(ctx context.Context, secret *corev1.Secret, account *corev1.ServiceAccount) error {
	hasBundle := len(c.bundle) == 0 || bytes.Equal(secret.Data[corev1.ServiceAccountRootCAKey], c.bundle)
	hasToken := len(secret.Data[corev1.ServiceAccountTokenKey]) > 0
	if hasToken && hasBundle && len(secret.Data[corev1.ServiceAccountNamespaceKey]) > 0 && secret.Annotations[corev1.ServiceAccountUIDKey] != "" {
		return nil
	}
	filled := secret.DeepCopy()
	filled.Data = maps.Clone(secret.Data)
	if filled.Data == nil {
		filled.Data = map[string][]byte{}
	}
	if !hasToken {
		token, err := c.minter.mint(legacyClaims{Namespace: secret.Namespace, SecretName: secret.Name, Name: account.Name, UID: string(account.UID)})
		if err != nil {
			return err
		}
		filled.Data[corev1.ServiceAccountTokenKey] = []byte(token)
	}
	if !hasBundle {
		filled.Data[corev1.ServiceAccountRootCAKey] = c.bundle
	}
	filled.Data[corev1.ServiceAccountNamespaceKey] = []byte(secret.Namespace)
	metav1.SetMetaDataAnnotation(&filled.ObjectMeta, corev1.ServiceAccountUIDKey, string(account.UID))
	made, err := c.client.CoreV1().Secrets(secret.Namespace).Update(ctx, filled, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "update", Kind: "Secret", Namespace: made.Namespace, Name: made.Name, UID: made.UID, Made: made.ResourceVersion, Note: "gave it a token"})
	}
	return err
}

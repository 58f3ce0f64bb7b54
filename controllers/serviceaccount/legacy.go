package serviceaccount

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/controllers/index"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const (
	lastUsedLabel     = "kubernetes.io/legacy-token-last-used"
	invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
	dateFormat        = "2006-01-02"
	// tracker is the ConfigMap in kube-system in which the API server says since when it has noted the use of tokens.
	tracker, trackerKey = "kube-apiserver-legacy-service-account-token-tracking", "since"
	// lookEvery is how often tokens are looked at: their labels hold days.
	lookEvery = 24 * time.Hour
	// mostTokens is how many token Secrets one request lists.
	mostTokens = 500
)

// legacyKey is the one key of the cleaner.
var legacyKey = reconcile.Key{Name: "tokens"}

type cleaner struct {
	client, reader *client.Set
	accounts, pods cache.SharedIndexInformer
	period         time.Duration
}

// NewLegacyCleaner returns the controller that invalidates token Secrets which an older version made on its own and nobody used
// for a period (a year if 0), and deletes them after another one. reader lists Secrets: the controller's own account may only
// change them.
func NewLegacyCleaner(set, reader *client.Set, period time.Duration) (reconcile.Controller, error) {
	if period <= 0 {
		period = 365 * 24 * time.Hour
	}
	c := &cleaner{
		client: set, reader: reader, period: period,
		accounts: set.Informers.Core().V1().ServiceAccounts().Informer(),
		pods:     set.Informers.Core().V1().Pods().Informer(),
	}
	return reconcile.Controller{
		Name: "legacy-serviceaccount-token-cleaner-controller", Queue: "legacy_service_account_token_cleaner", Kind: "Secret",
		Synced:    []cache.SharedIndexInformer{c.accounts, c.pods},
		Start:     func(_ context.Context, enqueue func(reconcile.Key)) error { enqueue(legacyKey); return nil },
		Reconcile: c.reconcile,
	}, nil
}

func (c *cleaner) reconcile(ctx context.Context, _ reconcile.Key) (reconcile.Result, error) {
	again := reconcile.Result{After: lookEvery}
	since, err := c.trackedSince(ctx)
	if err != nil || since.IsZero() {
		return again, err
	}
	now := time.Now().UTC()
	mounted := c.mounted()
	options := metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken)).String(), Limit: mostTokens,
	}
	for {
		secrets, err := c.reader.CoreV1().Secrets("").List(ctx, options)
		if err != nil {
			return again, err
		}
		for i := range secrets.Items {
			secret := &secrets.Items[i]
			if !c.automatic(secret) || mounted[secret.Namespace+"/"+secret.Name] {
				continue
			}
			if err := c.clean(ctx, secret, since, now); err != nil {
				return again, err
			}
		}
		if options.Continue = secrets.Continue; options.Continue == "" {
			return again, nil
		}
	}
}

// trackedSince returns since when the use of tokens is noted; zero if it is not.
func (c *cleaner) trackedSince(ctx context.Context) (time.Time, error) {
	config, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, tracker, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	since, err := time.Parse(dateFormat, config.Data[trackerKey])
	if err != nil {
		klog.FromContext(ctx).V(1).Info("The record of token use has no date", "configMap", tracker, "err", err)
		return time.Time{}, nil
	}
	return since, nil
}

// mounted returns the Secrets that Pods have as volumes, by namespace and name.
func (c *cleaner) mounted() map[string]bool {
	names := map[string]bool{}
	for _, pod := range index.All[*corev1.Pod](c.pods) {
		for _, volume := range pod.Spec.Volumes {
			if volume.Secret != nil {
				names[pod.Namespace+"/"+volume.Secret.SecretName] = true
			}
		}
	}
	return names
}

// automatic reports whether a token Secret was made by a control plane: its account lists it.
func (c *cleaner) automatic(secret *corev1.Secret) bool {
	account, found := index.Get[*corev1.ServiceAccount](c.accounts, secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey])
	if !found || string(account.UID) != secret.Annotations[corev1.ServiceAccountUIDKey] {
		return false
	}
	for _, listed := range account.Secrets {
		if listed.Name == secret.Name {
			return true
		}
	}
	return false
}

// Fate is what becomes of a token Secret.
type Fate int

// The fates, from best to worst.
const (
	Keep Fate = iota
	Invalidate
	Delete
)

// Judge decides about a token by its age, its last use and since when it has been invalid. since is when the noting of use began.
func Judge(secret *corev1.Secret, since, now time.Time, period time.Duration) Fate {
	last := since
	if used, err := time.Parse(dateFormat, secret.Labels[lastUsedLabel]); err == nil && used.After(last) {
		last = used
	}
	if secret.CreationTimestamp.After(last) {
		last = secret.CreationTimestamp.Time
	}
	if now.Sub(last) < period {
		return Keep
	}
	invalid, marked := secret.Labels[invalidSinceLabel]
	at, err := time.Parse(dateFormat, invalid)
	switch {
	case !marked || err != nil:
		return Invalidate
	case now.Sub(at) < period:
		return Keep
	}
	return Delete
}

func (c *cleaner) clean(ctx context.Context, secret *corev1.Secret, since, now time.Time) error {
	secrets := c.client.CoreV1().Secrets(secret.Namespace)
	step := ""
	var err error
	switch Judge(secret, since, now, c.period) {
	case Keep:
		return nil
	case Invalidate:
		step = "invalidate"
		patch := fmt.Sprintf(`{"metadata":{"uid":%q,"resourceVersion":%q,"labels":{%q:%q}}}`, secret.UID, secret.ResourceVersion, invalidSinceLabel, now.Format(dateFormat))
		_, err = secrets.Patch(ctx, secret.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	case Delete:
		step = "delete"
		err = secrets.Delete(ctx, secret.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion},
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // changed meanwhile: judged again next time
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: step, Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name, UID: secret.UID, Note: "a token that nobody uses"})
	}
	return err
}

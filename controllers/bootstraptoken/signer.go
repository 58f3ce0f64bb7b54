package bootstraptoken

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
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
	// infoName is the ConfigMap in kube-public that anybody may read: a kubeconfig with the cluster's address and authority, beside a
	// signature by each token.
	infoName, kubeconfigKey = "cluster-info", "kubeconfig"
	signaturePrefix         = "jws-kubeconfig-" // before the token's ID
)

type signer struct {
	client        *client.Set
	secrets, info cache.SharedIndexInformer
}

// NewSigner returns the controller that signs cluster-info. Its only key is that ConfigMap.
func NewSigner(set *client.Set) (reconcile.Controller, error) {
	c := &signer{
		client: set, secrets: tokens(set),
		info: informers.NewFilteredConfigMapInformer(set.Interface, metav1.NamespacePublic, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("metadata.name", infoName).String()
		}),
	}
	return reconcile.Controller{
		Name: "bootstrap-signer-controller", Queue: "bootstrap_signer_queue", Kind: "ConfigMap",
		Start:     c.start,
		Reconcile: c.reconcile,
	}, nil
}

// start runs the controller's own informers. Whatever happens to a token or to the ConfigMap, the ConfigMap is looked at.
func (c *signer) start(ctx context.Context, enqueue func(reconcile.Key)) error {
	wake := func() { enqueue(reconcile.Key{Namespace: metav1.NamespacePublic, Name: infoName}) }
	for _, informer := range []cache.SharedIndexInformer{c.secrets, c.info} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { wake() }, UpdateFunc: func(any, any) { wake() }, DeleteFunc: func(any) { wake() },
		}); err != nil {
			return err
		}
		go informer.RunWithContext(ctx)
	}
	if !cache.WaitForCacheSync(ctx.Done(), c.secrets.HasSynced, c.info.HasSynced) {
		return ctx.Err() // half the tokens would take the other half's signatures away
	}
	return nil
}

func (c *signer) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	info, found := index.Get[*corev1.ConfigMap](c.info, key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	now, result := time.Now(), reconcile.Result{}
	var secrets []*corev1.Secret
	for _, obj := range c.secrets.GetStore().List() {
		secret := obj.(*corev1.Secret)
		secrets = append(secrets, secret)
		if rest, ends := left(secret, now); ends && rest > 0 && (result.After == 0 || rest < result.After) {
			result.After = rest // its signature ends with it
		}
	}
	wanted, err := signed(info.Data, secrets, now)
	if err != nil || maps.Equal(wanted, info.Data) {
		return result, err
	}
	changed := info.DeepCopy()
	changed.Data = wanted
	made, err := c.client.CoreV1().ConfigMaps(key.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return result, nil // an event is under way
	}
	if err == nil {
		reconcile.Note(ctx, journal.Record{Step: "sign", Kind: "ConfigMap", Namespace: key.Namespace, Name: key.Name, UID: made.UID})
	}
	return result, err
}

// signed is the data with the signatures of exactly those tokens that may sign now. Without a kubeconfig there is nothing to sign.
func signed(data map[string]string, secrets []*corev1.Secret, now time.Time) (map[string]string, error) {
	content, found := data[kubeconfigKey]
	if !found {
		return data, nil
	}
	wanted := maps.Clone(data)
	maps.DeleteFunc(wanted, func(key, _ string) bool { return strings.HasPrefix(key, signaturePrefix) })
	for _, secret := range secrets {
		id, key, may := signs(secret, now)
		if !may {
			continue
		}
		signature, err := sign(content, id, key)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", id, err)
		}
		wanted[signaturePrefix+id] = signature
	}
	return wanted, nil
}

// sign returns a JWS by HS256 whose content is left out, since it stands beside it (RFC 7515, appendix F). The library that is used
// elsewhere refuses keys as short as a token's secret.
func sign(content, id, key string) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}{"HS256", id})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(encode(header) + "." + encode([]byte(content))))
	return encode(header) + ".." + encode(mac.Sum(nil)), nil
}

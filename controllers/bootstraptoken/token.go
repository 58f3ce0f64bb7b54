// Package bootstraptoken looks after the tokens by which new nodes join: it deletes those that have expired, and signs with the others
// what a node reads of the cluster before it knows any certificate.
// https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens
package bootstraptoken

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
)

const (
	secretType = "bootstrap.kubernetes.io/token"
	namePrefix = "bootstrap-token-" // of the Secret's name, before the token's ID
	// Keys of the Secret's data. expiration is in RFC 3339.
	expiration, idKey, secretKey, signing = "expiration", "token-id", "token-secret", "usage-bootstrap-signing"
)

// tokens is an informer of its own: of all Secrets only those of one type are to be held in memory.
func tokens(set *client.Set) cache.SharedIndexInformer {
	return informers.NewFilteredSecretInformer(set.Interface, metav1.NamespaceSystem, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("type", secretType).String()
	})
}

// left returns how long a token still holds; false if it never ends or says so in a way that cannot be read.
func left(secret *corev1.Secret, now time.Time) (time.Duration, bool) {
	end, err := time.Parse(time.RFC3339, string(secret.Data[expiration]))
	if err != nil {
		return 0, false
	}
	return end.Sub(now), true
}

// signs reports whether a token may sign at a time, and its two halves. One whose end cannot be read may not.
func signs(secret *corev1.Secret, now time.Time) (id, key string, may bool) {
	id, key = string(secret.Data[idKey]), string(secret.Data[secretKey])
	name, prefixed := strings.CutPrefix(secret.Name, namePrefix)
	if secret.Type != secretType || !prefixed || name == "" || name != id || key == "" || string(secret.Data[signing]) != "true" {
		return "", "", false
	}
	if len(secret.Data[expiration]) > 0 {
		if rest, known := left(secret, now); !known || rest <= 0 {
			return "", "", false
		}
	}
	return id, key, true
}

package serviceaccount

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// lastUsed labels Secrets with the day on which their token was used last (KEP-2799).
const lastUsed = "kubernetes.io/legacy-token-last-used"

// uses are the Secrets whose label is being written, so that a burst of requests writes it once.
type uses struct{ writing sync.Map } // of struct{} by UID

// note has the day written to the Secret of a token that was used, at most once a day. It does not wait: a request is not
// held up by it, and a label that could not be written is written with the next one.
func (u *uses) note(ctx context.Context, secret *corev1.Secret, mark func(ctx context.Context, secret *corev1.Secret, label, day string)) {
	day := time.Now().UTC().Format(time.DateOnly)
	if mark == nil || secret.Labels[lastUsed] >= day { // another server's clock may be ahead
		return
	}
	if _, busy := u.writing.LoadOrStore(secret.UID, struct{}{}); busy {
		return
	}
	go func() {
		defer u.writing.Delete(secret.UID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		mark(ctx, secret, lastUsed, day)
	}()
}

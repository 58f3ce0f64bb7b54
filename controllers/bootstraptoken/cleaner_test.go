package bootstraptoken

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

func token(name string, kind corev1.SecretType, end string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name}, Type: kind}
	if end != "" {
		s.Data = map[string][]byte{expiration: []byte(end)}
	}
	return s
}

func TestOnlyExpiredTokensGo(t *testing.T) {
	t.Parallel()
	past, future := time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)
	w := controltest.New(t,
		token("expired", secretType, past), token("good", secretType, future), token("endless", secretType, ""), token("odd", secretType, "tomorrow"),
		token("other", corev1.SecretTypeOpaque, past),
	)
	w.Run(w.Must(NewCleaner(w.Set)))
	ctx := context.Background()
	w.Eventually(func() string {
		if _, err := w.CoreV1().Secrets("kube-system").Get(ctx, "expired", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint("the expired token is there: ", err)
		}
		return ""
	})
	left, err := w.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{})
	if err != nil || len(left.Items) != 4 {
		t.Errorf("%d are left, %v", len(left.Items), err)
	}
}

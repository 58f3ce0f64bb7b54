package serviceaccount

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

func TestEveryLivingNamespaceHasItsAccount(t *testing.T) {
	t.Parallel()
	namespace := func(name string, phase corev1.NamespacePhase) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NamespaceStatus{Phase: phase}}
	}
	w := controltest.New(t, namespace("a", corev1.NamespaceActive), namespace("b", corev1.NamespaceTerminating))
	w.Run(w.Must(New(w.Set)))
	ctx := context.Background()
	there := func() string {
		list, err := w.CoreV1().ServiceAccounts("").List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Namespace != "a" || list.Items[0].Name != "default" {
			return fmt.Sprintf("%v %v", list.Items, err)
		}
		return ""
	}
	w.Eventually(there)
	if err := w.CoreV1().ServiceAccounts("a").Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(there)
}

func TestTokenSecretsAreFilledAndGoWithTheirAccount(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "robot", UID: "uid"}}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "robot-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	w := controltest.New(t, account, secret)
	w.Run(w.Must(NewTokens(w.Set, 1, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), []byte("bundle"))))
	ctx := context.Background()
	w.Eventually(func() string {
		got, err := w.CoreV1().Secrets("default").Get(ctx, "robot-token", metav1.GetOptions{})
		if err != nil || len(got.Data[corev1.ServiceAccountTokenKey]) == 0 {
			return fmt.Sprintf("%v %v", got.Annotations, err)
		}
		secret = got
		return ""
	})
	if string(secret.Data["ca.crt"]) != "bundle" || string(secret.Data["namespace"]) != "default" || secret.Annotations[corev1.ServiceAccountUIDKey] != "uid" {
		t.Errorf("the Secret is %+v", secret)
	}
	parsed, err := jwt.ParseSigned(string(secret.Data["token"]), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	var legacy legacyClaims
	if err := parsed.Claims(&key.PublicKey, &claims, &legacy); err != nil {
		t.Fatal(err)
	}
	if claims.Subject != "system:serviceaccount:default:robot" || claims.Issuer != "kubernetes/serviceaccount" || legacy.UID != "uid" || legacy.SecretName != "robot-token" {
		t.Errorf("the token says %+v %+v", claims, legacy)
	}
	if err := w.CoreV1().ServiceAccounts("default").Delete(ctx, "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() string {
		if _, err := w.CoreV1().Secrets("default").Get(ctx, "robot-token", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Sprint("the Secret is there: ", err)
		}
		return ""
	})
}

func TestUnusedTokensEndInTwoSteps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	year := 365 * 24 * time.Hour
	for _, test := range []struct {
		name, used, invalid string
		since               time.Time
		want                Fate
	}{
		{"never used, long ago", "", "", now.Add(-2 * year), Invalidate},
		{"use is noted for a week only", "", "", now.Add(-7 * 24 * time.Hour), Keep},
		{"used last month", "2026-05-01", "", now.Add(-2 * year), Keep},
		{"used long ago", "2024-01-01", "", now.Add(-2 * year), Invalidate},
		{"invalid since last month", "2024-01-01", "2026-05-01", now.Add(-2 * year), Keep},
		{"invalid for more than a year", "", "2025-01-01", now.Add(-3 * year), Delete},
	} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}}}
		if test.used != "" {
			secret.Labels[lastUsedLabel] = test.used
		}
		if test.invalid != "" {
			secret.Labels[invalidSinceLabel] = test.invalid
		}
		if got := Judge(secret, test.since, now, year); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAnUnusedTokenIsInvalidated(t *testing.T) {
	t.Parallel()
	w := controltest.New(t,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: tracker}, Data: map[string]string{trackerKey: "2020-01-01"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "robot", UID: "uid"}, Secrets: []corev1.ObjectReference{{Name: "old"}}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "old", UID: "old", CreationTimestamp: metav1.NewTime(time.Now().AddDate(-3, 0, 0)),
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot", corev1.ServiceAccountUIDKey: "uid"}}, Type: corev1.SecretTypeServiceAccountToken},
	)
	w.Run(w.Must(NewLegacyCleaner(w.Set, w.Set, 0)))
	w.Eventually(func() string {
		secret, err := w.CoreV1().Secrets("default").Get(context.Background(), "old", metav1.GetOptions{})
		if err != nil || secret.Labels[invalidSinceLabel] == "" {
			return fmt.Sprintf("%v %v", secret.Labels, err)
		}
		return ""
	})
}

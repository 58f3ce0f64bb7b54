package bootstraptoken

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/controllers/controltest"
)

// signingToken is one that may sign. edit may be nil.
func signingToken(id string, edit func(*corev1.Secret)) *corev1.Secret {
	s := token("bootstrap-token-"+id, secretType, "")
	s.Data = map[string][]byte{"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-signing": []byte("true")}
	if edit != nil {
		edit(s)
	}
	return s
}

// The signature is what upstream's controller writes for the same token and content, byte by byte.
func TestASignatureIsUpstreams(t *testing.T) {
	t.Parallel()
	const want = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9.._JqomVYZNRdBX9ISkn1b-g4fbXMmdIzRDvSNbs-ccDE"
	if got, err := sign("apiVersion: v1", "abcdef", "0123456789abcdef"); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestWhichTokensSign(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ends := func(in time.Duration) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data["expiration"] = []byte(now.Add(in).UTC().Format(time.RFC3339)) }
	}
	set := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
	}
	for name, test := range map[string]struct {
		edit func(*corev1.Secret)
		want bool
	}{
		"plain": {nil, true}, "of another type": {func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, false},
		"still valid": {ends(time.Hour), true}, "expired": {ends(-time.Hour), false}, "with an end that is no time": {set("expiration", "tomorrow"), false},
		"of another name": {set("token-id", "fedcba"), false}, "without a secret": {set("token-secret", ""), false},
		"for authentication only": {set("usage-bootstrap-signing", "false"), false}, "without the prefix": {func(s *corev1.Secret) { s.Name = "abcdef" }, false},
	} {
		if _, _, may := signs(signingToken("abcdef", test.edit), now); may != test.want {
			t.Errorf("a token %s: %v", name, may)
		}
	}
}

// Signatures follow the tokens: there for each that may sign, gone with those that may not, and nothing else is touched.
func TestClusterInfoIsSigned(t *testing.T) {
	t.Parallel()
	info := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"},
		Data: map[string]string{"kubeconfig": "apiVersion: v1", "other": "stays", "jws-kubeconfig-gone": "x"}}
	w := controltest.New(t, info, signingToken("aaaaaa", nil), signingToken("bbbbbb", nil))
	w.Run(w.Must(NewSigner(w.Set)))
	ctx := context.Background()
	has := func(want ...string) func() string {
		return func() string {
			now, err := w.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if keys := slices.Sorted(maps.Keys(now.Data)); !slices.Equal(keys, want) {
				return fmt.Sprintf("%v, not %v", keys, want)
			}
			return ""
		}
	}
	w.Eventually(has("jws-kubeconfig-aaaaaa", "jws-kubeconfig-bbbbbb", "kubeconfig", "other"))
	if err := w.CoreV1().Secrets("kube-system").Delete(ctx, "bootstrap-token-bbbbbb", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(has("jws-kubeconfig-aaaaaa", "kubeconfig", "other"))
}

// Without a kubeconfig there is nothing to sign, and nothing is changed.
func TestNothingToSign(t *testing.T) {
	t.Parallel()
	data := map[string]string{"jws-kubeconfig-old": "x"}
	if got, err := signed(data, []*corev1.Secret{signingToken("abcdef", nil)}, time.Now()); err != nil || !maps.Equal(got, data) {
		t.Errorf("%v, %v", got, err)
	}
}

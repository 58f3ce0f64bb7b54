package bootstrap

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// The date is that of the first start, and stays; one that cannot be is put right.
func TestSinceWhenTokensAreTracked(t *testing.T) {
	t.Parallel()
	today := func() time.Time { return time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC) }
	for had, want := range map[string]string{"": "2030-05-01", "2029-01-02": "2029-01-02", "2031-01-01": "2030-05-01", "once": "2030-05-01"} {
		client := fake.NewClientset()
		if had != "" {
			client = fake.NewClientset(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: trackingMap}, Data: map[string]string{trackingSince: had},
			})
		}
		if err := trackingStep(client, today).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		have, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), trackingMap, metav1.GetOptions{})
		if err != nil || have.Data[trackingSince] != want {
			t.Errorf("after %q: %v, %v", had, have, err)
		}
	}
}

package bootstrap

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// trackingMap says since when servers note the use of service account tokens in Secrets (KEP-2799). Until it is old enough
// kube-controller-manager takes no token for unused.
const trackingMap, trackingSince, trackingDate = "kube-apiserver-legacy-service-account-token-tracking", "since", time.DateOnly

// trackingStep writes today into the ConfigMap where no past date is.
func trackingStep(client kubernetes.Interface, now func() time.Time) step {
	configs := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	return step{"record of token use", func(ctx context.Context) error {
		today := now().UTC().Format(trackingDate)
		have, err := configs.Get(ctx, trackingMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			meta := metav1.ObjectMeta{Name: trackingMap, Namespace: metav1.NamespaceSystem}
			_, err = configs.Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{trackingSince: today}}, metav1.CreateOptions{})
			return ignoreExists(err)
		}
		if err != nil {
			return err
		}
		if since, err := time.Parse(trackingDate, have.Data[trackingSince]); err == nil && !since.After(now().UTC()) {
			return nil
		}
		changed := have.DeepCopy()
		changed.Data = map[string]string{trackingSince: today}
		_, err = configs.Update(ctx, changed, metav1.UpdateOptions{})
		return err
	}}
}

package volume

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fillContext adds what the driver wants to know of the Pod, and waits until the volume is attached where it has to be.
func (v *Volumes) fillContext(ctx context.Context, p *podVolumes, r *request, object *storagev1.CSIDriver) error {
	attributes := map[string]string{}
	for key, value := range r.volume.Context {
		attributes[key] = value
	}
	if isTrue(object.Spec.PodInfoOnMount) {
		attributes["csi.storage.k8s.io/pod.name"] = p.pod.Name
		attributes["csi.storage.k8s.io/pod.namespace"] = p.pod.Namespace
		attributes["csi.storage.k8s.io/pod.uid"] = string(p.pod.UID)
		attributes["csi.storage.k8s.io/serviceAccount.name"] = p.pod.Spec.ServiceAccountName
		attributes["csi.storage.k8s.io/ephemeral"] = fmt.Sprint(r.inline)
	}
	if err := v.addTokens(ctx, p, object, attributes); err != nil {
		return err
	}
	r.volume.Context = attributes
	if !r.attached || object.Spec.AttachRequired != nil && !*object.Spec.AttachRequired {
		return nil
	}
	var err error
	r.data.Attachment = attachmentName(r.data.Handle, r.data.Driver, v.config.NodeName)
	r.volume.PublishContext, err = v.waitAttached(ctx, r.data.Attachment)
	return err
}

// addTokens gives the driver the service account tokens that it asks for.
func (v *Volumes) addTokens(ctx context.Context, p *podVolumes, object *storagev1.CSIDriver, attributes map[string]string) error {
	type issued struct {
		Token   string `json:"token"`
		Expires string `json:"expirationTimestamp"`
	}
	tokens := map[string]issued{}
	for _, wanted := range object.Spec.TokenRequests {
		key := tokenKey{audience: wanted.Audience, expiration: defaultTokenLife}
		if wanted.ExpirationSeconds != nil {
			key.expiration = *wanted.ExpirationSeconds
		}
		token, err := v.issue(ctx, p.pod, key)
		if err != nil {
			return err
		}
		tokens[wanted.Audience] = issued{token.Status.Token, token.Status.ExpirationTimestamp.Format("2006-01-02T15:04:05Z07:00")}
	}
	if len(tokens) == 0 {
		return nil
	}
	data, err := json.Marshal(tokens)
	attributes["csi.storage.k8s.io/serviceAccount.tokens"] = string(data)
	return err
}

// secretData reads a secret that a volume names.
func (v *Volumes) secretData(ctx context.Context, ref *corev1.SecretReference) (map[string]string, error) {
	if ref == nil {
		return nil, nil
	}
	secret, err := v.config.Client.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data, nil
}

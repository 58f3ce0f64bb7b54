package bootstrap

import (
	"context"
	"encoding/json"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ClientAuthentication is what aggregated servers and other components read from kube-system to know clients as this server does.
type ClientAuthentication struct {
	// ClientCA and RequestHeaderCA are PEM bundles; an empty one is left out.
	ClientCA, RequestHeaderCA                                          []byte
	AllowedNames, UserHeaders, UIDHeaders, GroupHeaders, ExtraPrefixes []string
}

const authenticationMap = "extension-apiserver-authentication"

// Ensure writes the ConfigMap if it is not as it should be.
func (c *ClientAuthentication) Ensure(ctx context.Context, client kubernetes.Interface) error {
	data, err := c.data()
	if err != nil || len(data) == 0 {
		return err
	}
	configs := client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	return persist(ctx, func(ctx context.Context) error {
		have, err := configs.Get(ctx, authenticationMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			meta := metav1.ObjectMeta{Name: authenticationMap, Namespace: metav1.NamespaceSystem}
			_, err = configs.Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: data}, metav1.CreateOptions{})
			return err
		}
		if err != nil || maps.Equal(have.Data, data) {
			return err
		}
		changed := have.DeepCopy()
		changed.Data = data
		_, err = configs.Update(ctx, changed, metav1.UpdateOptions{})
		return err
	})
}

func (c *ClientAuthentication) data() (map[string]string, error) {
	data := map[string]string{}
	if len(c.ClientCA) > 0 {
		data["client-ca-file"] = string(c.ClientCA)
	}
	if len(c.RequestHeaderCA) == 0 {
		return data, nil
	}
	data["requestheader-client-ca-file"] = string(c.RequestHeaderCA)
	for key, list := range map[string][]string{
		"requestheader-allowed-names": c.AllowedNames, "requestheader-username-headers": c.UserHeaders, "requestheader-uid-headers": c.UIDHeaders,
		"requestheader-group-headers": c.GroupHeaders, "requestheader-extra-headers-prefix": c.ExtraPrefixes,
	} {
		if list == nil {
			list = []string{}
		}
		text, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		data[key] = string(text)
	}
	return data, nil
}

package volume

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"sort"

	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/kubelet/volume/payload"
)

// fromTrustBundle writes the certificates of one ClusterTrustBundle, or of all of a signer's that a selector
// matches, each certificate once and in an order that says nothing (KEP-3257).
func (v *Volumes) fromTrustBundle(ctx context.Context, source *corev1.ClusterTrustBundleProjection, base int32) (payload.Payload, error) {
	bundles, err := v.trustBundles(ctx, source)
	if err != nil {
		if isTrue(source.Optional) && apierrors.IsNotFound(err) {
			return payload.Payload{source.Path: {Mode: base}}, nil
		}
		return nil, err
	}
	return payload.Payload{source.Path: {Data: mergePEM(bundles), Mode: base}}, nil
}

func (v *Volumes) trustBundles(ctx context.Context, source *corev1.ClusterTrustBundleProjection) ([]certificatesv1beta1.ClusterTrustBundle, error) {
	client := v.config.Client.CertificatesV1beta1().ClusterTrustBundles()
	if source.Name != nil {
		bundle, err := client.Get(ctx, *source.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return []certificatesv1beta1.ClusterTrustBundle{*bundle}, nil
	}
	if source.SignerName == nil {
		return nil, errors.New("clusterTrustBundle names neither a bundle nor a signer")
	}
	selector, err := metav1.LabelSelectorAsSelector(source.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("clusterTrustBundle label selector: %w", err)
	}
	list, err := client.List(ctx, metav1.ListOptions{
		LabelSelector: selector.String(), FieldSelector: "spec.signerName=" + *source.SignerName,
	})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 && !isTrue(source.Optional) {
		return nil, fmt.Errorf("combination of signerName and labelSelector matched zero ClusterTrustBundles")
	}
	return list.Items, nil
}

func mergePEM(bundles []certificatesv1beta1.ClusterTrustBundle) []byte {
	seen := map[string]bool{}
	var blocks []string
	for i := range bundles {
		rest := []byte(bundles[i].Spec.TrustBundle)
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if text := string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})); !seen[text] {
				seen[text] = true
				blocks = append(blocks, text)
			}
		}
	}
	sort.Strings(blocks)
	var out bytes.Buffer
	for _, block := range blocks {
		out.WriteString(block)
	}
	return out.Bytes()
}

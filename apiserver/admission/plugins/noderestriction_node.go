package plugins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/septet-io/septet/apiserver/admission"
)

// node: a kubelet writes its own Node, but neither taints and owners nor labels that others rely on.
func (r *nodes) node(_ context.Context, a *admission.Attributes, node string) error {
	name := a.Name
	object, _ := a.Object.(*corev1.Node)
	if a.Operation == admission.Create && object != nil {
		name = object.Name
	}
	if name != node {
		return refuse(a, "node %q is not allowed to modify node %q", node, name)
	}
	switch a.Operation {
	case admission.Create:
		if object == nil {
			return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
		}
		if labels := reserved(object.Labels, nil); len(labels) > 0 {
			return refuse(a, "node %q is not allowed to set the following labels: %s", node, strings.Join(labels, ", "))
		}
	case admission.Update:
		old, ok := a.OldObject.(*corev1.Node)
		if object == nil || !ok {
			return apierrors.NewBadRequest(fmt.Sprintf("unexpected type %T", a.Object))
		}
		if !equality.Semantic.DeepEqual(object.Spec.Taints, old.Spec.Taints) {
			return refuse(a, "node %q is not allowed to modify taints", node)
		}
		if !equality.Semantic.DeepEqual(object.OwnerReferences, old.OwnerReferences) {
			return refuse(a, "node %q is not allowed to modify ownerReferences", node)
		}
		if labels := reserved(object.Labels, old.Labels); len(labels) > 0 {
			return refuse(a, "is not allowed to modify labels: %s", strings.Join(labels, ", "))
		}
	}
	return nil
}

// kubeletLabels are those of Kubernetes' own labels that kubelets set. Kubelets may also set any under kubelet.kubernetes.io and
// node.kubernetes.io. https://kep.k8s.io/279
var kubeletLabels = sets.New(
	corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
	corev1.LabelInstanceType, corev1.LabelInstanceTypeStable, corev1.LabelOSStable, corev1.LabelArchStable, "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	corev1.LabelWindowsBuild,
)

// reserved returns, in order, the labels that were added, changed or removed though they are not for kubelets to set.
func reserved(labels, old map[string]string) []string {
	var wrong []string
	for key, value := range labels {
		if before, found := old[key]; (!found || before != value) && isReserved(key) {
			wrong = append(wrong, key)
		}
	}
	for key := range old {
		if _, found := labels[key]; !found && isReserved(key) {
			wrong = append(wrong, key)
		}
	}
	slices.Sort(wrong)
	return wrong
}

func isReserved(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	if under(domain, "node-restriction.kubernetes.io") {
		return true
	}
	if !under(domain, "kubernetes.io") && !under(domain, "k8s.io") {
		return false
	}
	return !kubeletLabels.Has(key) && !under(domain, "kubelet.kubernetes.io") && !under(domain, "node.kubernetes.io")
}

// under says whether a name is a domain or lies below it.
func under(name, domain string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// reaches says what of the API a Pod would get at; "" if nothing.
func reaches(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName != "" {
		return "a service account"
	}
	if len(pod.Spec.ImagePullSecrets) > 0 {
		return "secrets"
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return "resourceclaims"
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if what := environment(&containers[i]); what != "" {
				return what
			}
		}
	}
	for i := range pod.Spec.Volumes {
		if what := volumeReaches(&pod.Spec.Volumes[i]); what != "" {
			return what
		}
	}
	return ""
}

func environment(c *corev1.Container) string {
	for _, from := range c.EnvFrom {
		if from.SecretRef != nil {
			return "secrets"
		}
		if from.ConfigMapRef != nil {
			return "configmaps"
		}
	}
	for _, variable := range c.Env {
		if variable.ValueFrom == nil {
			continue
		}
		if variable.ValueFrom.SecretKeyRef != nil {
			return "secrets"
		}
		if variable.ValueFrom.ConfigMapKeyRef != nil {
			return "configmaps"
		}
	}
	return ""
}

func volumeReaches(volume *corev1.Volume) string {
	switch {
	case volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil:
		return "persistentvolumeclaims"
	case volume.ConfigMap != nil:
		return "configmaps"
	case volume.Secret != nil, volumeSecret(volume):
		return "secrets"
	case volume.Projected == nil:
		return ""
	}
	for _, source := range volume.Projected.Sources {
		switch {
		case source.Secret != nil:
			return "secrets"
		case source.ConfigMap != nil:
			return "configmaps"
		case source.ServiceAccountToken != nil:
			return "serviceaccounts"
		case source.ClusterTrustBundle != nil:
			return "clustertrustbundles"
		case source.PodCertificate != nil:
			return "podcertificates"
		}
	}
	return ""
}

// volumeSecret says whether a volume's driver is given a secret.
func volumeSecret(v *corev1.Volume) bool {
	return v.AzureFile != nil || v.CephFS != nil && v.CephFS.SecretRef != nil || v.Cinder != nil && v.Cinder.SecretRef != nil ||
		v.FlexVolume != nil && v.FlexVolume.SecretRef != nil || v.RBD != nil && v.RBD.SecretRef != nil || v.ScaleIO != nil ||
		v.ISCSI != nil && v.ISCSI.SecretRef != nil || v.StorageOS != nil && v.StorageOS.SecretRef != nil ||
		v.CSI != nil && v.CSI.NodePublishSecretRef != nil
}

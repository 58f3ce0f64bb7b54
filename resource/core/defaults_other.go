package core

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
)

func defaultNamespace(namespace *corev1.Namespace) {
	setIfEmpty(&namespace.Status.Phase, corev1.NamespaceActive)
	labelNamespace(namespace)
}

// labelNamespace lets selectors find a namespace by its name.
func labelNamespace(namespace *corev1.Namespace) {
	if namespace.Name == "" {
		return
	}
	if namespace.Labels == nil {
		namespace.Labels = map[string]string{}
	}
	namespace.Labels[corev1.LabelMetadataName] = namespace.Name
}

func defaultNode(node *corev1.Node) {
	spec := &node.Spec
	// podCIDR is the first of podCIDRs.
	switch {
	case spec.PodCIDR == "" && len(spec.PodCIDRs) > 0:
		spec.PodCIDR = spec.PodCIDRs[0]
	case spec.PodCIDR != "" && (len(spec.PodCIDRs) == 0 || spec.PodCIDRs[0] != spec.PodCIDR):
		spec.PodCIDRs = []string{spec.PodCIDR}
	}
	if len(node.Status.Allocatable) == 0 {
		node.Status.Allocatable = maps.Clone(node.Status.Capacity)
	}
	roundResources(node.Status.Capacity)
	roundResources(node.Status.Allocatable)
}

// mergeStringData writes stringData over data: the one field is only for writing.
func mergeStringData(secret *corev1.Secret) {
	setIfEmpty(&secret.Type, corev1.SecretTypeOpaque)
	for key, value := range secret.StringData {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
}

func defaultReplicationController(rc *corev1.ReplicationController) {
	setIfNil(&rc.Spec.Replicas, 1)
	template := rc.Spec.Template
	if template == nil {
		return
	}
	DefaultPodTemplate(template)
	if len(template.Labels) == 0 {
		return
	}
	if len(rc.Spec.Selector) == 0 {
		rc.Spec.Selector = maps.Clone(template.Labels)
	}
	if len(rc.Labels) == 0 {
		rc.Labels = maps.Clone(template.Labels)
	}
}

func defaultPodTemplate(template *corev1.PodTemplate) { DefaultPodTemplate(&template.Template) }

func defaultResourceQuota(quota *corev1.ResourceQuota) {
	roundResources(quota.Spec.Hard)
	roundResources(quota.Status.Hard)
	roundResources(quota.Status.Used)
}

// defaultLimitRange: a limit is the most that is allowed, a request is the limit, else the least that is allowed.
func defaultLimitRange(limits *corev1.LimitRange) {
	for i := range limits.Spec.Limits {
		item := &limits.Spec.Limits[i]
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			roundResources(list)
		}
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for name, most := range item.Max {
			setAmount(&item.Default, name, most)
		}
		for name, limit := range item.Default {
			setAmount(&item.DefaultRequest, name, limit)
		}
		for name, least := range item.Min {
			setAmount(&item.DefaultRequest, name, least)
		}
	}
}

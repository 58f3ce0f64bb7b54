package core

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Pods is all that the server knows about Pods.
func Pods() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Pod]{
		Version: "v1", Kind: "Pod", Plural: "pods",
		Short: []string{"po"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Default:    defaultPod,

		PrepareCreate: preparePod, PrepareUpdate: preparePodUpdate,
		Grace: podGrace,
		Views: []resource.View[*corev1.Pod]{
			{Name: "ephemeralcontainers", Prepare: prepareEphemeralContainers, Validate: validateEphemeralContainers},
			{Name: "resize", Prepare: prepareResize, Validate: validateResize},
			{Name: "status", Prepare: preparePodStatus, Validate: validatePodStatus},
		},
		Connectors: []resource.Connector{
			{Name: "attach", Kind: coreKind("PodAttachOptions"), Verbs: []string{"create", "get"}},
			{Name: "binding", Kind: coreKind("Binding"), Verbs: []string{"create"}},
			{Name: "eviction", Kind: schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}, Verbs: []string{"create"}},
			{Name: "exec", Kind: coreKind("PodExecOptions"), Verbs: []string{"create", "get"}},
			{Name: "log", Kind: coreKind("Pod"), Verbs: []string{"get"}},
			{Name: "portforward", Kind: coreKind("PodPortForwardOptions"), Verbs: []string{"create", "get"}},
			{Name: "proxy", Kind: coreKind("PodProxyOptions"), Verbs: proxyVerbs},
		},
		Columns: podColumns(), RowConditions: podRowConditions,
		Fields:   podFields(),
		Validate: validatePod, ValidateUpdate: validatePodUpdate, Warn: warnPod,
	})
}

var proxyVerbs = []string{"create", "delete", "get", "patch", "update"}

func coreKind(kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: kind}
}

// podGrace is the grace period of a pod's deletion. A pod that runs nowhere, or no more, has nobody who would let
// go of it and is deleted at once.
func podGrace(_ *resource.Request, pod *corev1.Pod, options *metav1.DeleteOptions) int64 {
	var period int64
	switch {
	case options != nil && options.GracePeriodSeconds != nil:
		period = *options.GracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return 0
	}
	if period < 0 {
		return 1
	}
	return period
}

func podFields() []resource.Field[*corev1.Pod] {
	return []resource.Field[*corev1.Pod]{
		{Name: "spec.nodeName", Value: func(p *corev1.Pod) string { return p.Spec.NodeName }},
		{Name: "spec.host", Value: func(p *corev1.Pod) string { return p.Spec.NodeName }}, // as kubectl asked long ago
		{Name: "spec.restartPolicy", Value: func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }},
		{Name: "spec.schedulerName", Value: func(p *corev1.Pod) string { return p.Spec.SchedulerName }},
		{Name: "spec.serviceAccountName", Value: func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }},
		{Name: "spec.hostNetwork", Value: func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }},
		{Name: "status.phase", Value: func(p *corev1.Pod) string { return string(p.Status.Phase) }},
		{Name: "status.podIP", Value: func(p *corev1.Pod) string { return p.Status.PodIP }},
		{Name: "status.podIPs", Value: podIPs},
		{Name: "status.nominatedNodeName", Value: func(p *corev1.Pod) string { return p.Status.NominatedNodeName }},
	}
}

func podIPs(pod *corev1.Pod) string {
	if len(pod.Status.PodIPs) == 1 {
		return pod.Status.PodIPs[0].IP
	}
	ips := make([]string, len(pod.Status.PodIPs))
	for i := range ips {
		ips[i] = pod.Status.PodIPs[i].IP
	}
	return strings.Join(ips, ",")
}

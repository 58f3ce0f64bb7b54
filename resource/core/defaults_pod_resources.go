package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultPodResources fills in spec.resources where the author has set some of it: limits of huge pages and
// requests are those of all containers together, and requests else are the limits (KEP-2837).
func defaultPodResources(spec *corev1.PodSpec) {
	whole := spec.Resources
	if whole == nil || len(whole.Limits) == 0 && len(whole.Requests) == 0 {
		return
	}
	for name, amount := range Together(spec, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Limits }) {
		if isHugePages(name) {
			setAmount(&whole.Limits, name, amount)
		}
	}
	for name, amount := range Together(spec, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Requests }) {
		if PodLevelResource(name) {
			setAmount(&whole.Requests, name, amount)
		}
	}
	for name, limit := range whole.Limits {
		if PodLevelResource(name) {
			setAmount(&whole.Requests, name, limit)
		}
	}
}

// PodLevelResource says whether a resource may be asked for by a pod as a whole.
func PodLevelResource(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || isHugePages(name)
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func setAmount(list *corev1.ResourceList, name corev1.ResourceName, amount resource.Quantity) {
	if _, ok := (*list)[name]; ok {
		return
	}
	if *list == nil {
		*list = corev1.ResourceList{}
	}
	(*list)[name] = amount.DeepCopy()
}

// Together is what all containers of a pod need at the worst moment: the sum of those that run at the same
// time (main containers and sidecars), or an init container beside the sidecars started before it.
func Together(spec *corev1.PodSpec, of func(*corev1.Container) corev1.ResourceList) corev1.ResourceList {
	running := corev1.ResourceList{}
	for i := range spec.Containers {
		addTo(running, of(&spec.Containers[i]))
	}
	sidecars, peak := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		need := of(c)
		if Sidecar(c) {
			addTo(running, need)
			addTo(sidecars, need)
			need = sidecars
		} else {
			sum := corev1.ResourceList{}
			addTo(sum, sidecars)
			addTo(sum, need)
			need = sum
		}
		raiseTo(peak, need)
	}
	raiseTo(running, peak)
	return running
}

// Sidecar says whether an init container keeps running beside the main ones (KEP-753).
func Sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

func addTo(sum, list corev1.ResourceList) {
	for name, amount := range list {
		total := sum[name].DeepCopy()
		total.Add(amount)
		sum[name] = total
	}
}

func raiseTo(most, list corev1.ResourceList) {
	for name, amount := range list {
		if now, ok := most[name]; !ok || amount.Cmp(now) > 0 {
			most[name] = amount.DeepCopy()
		}
	}
}

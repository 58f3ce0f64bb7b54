package cgroup

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOS is the Pod's quality of service class: as its status says, else from its spec.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	requests, limits, guaranteed := corev1.ResourceList{}, corev1.ResourceList{}, true
	note := func(r corev1.ResourceRequirements) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if q, ok := r.Requests[name]; ok && !q.IsZero() {
				addTo(requests, name, q)
			}
			if q, ok := r.Limits[name]; ok && !q.IsZero() {
				addTo(limits, name, q)
			} else {
				guaranteed = false
			}
		}
	}
	if r := pod.Spec.Resources; r != nil && (len(r.Requests) > 0 || len(r.Limits) > 0) {
		note(*r)
	} else {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				note(list[i].Resources)
			}
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	if guaranteed && len(limits) == 2 {
		for name, request := range requests {
			if limit := limits[name]; limit.Cmp(request) != 0 {
				return corev1.PodQOSBurstable
			}
		}
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func addTo(list corev1.ResourceList, name corev1.ResourceName, quantity resource.Quantity) {
	total := list[name]
	total.Add(quantity)
	list[name] = total
}

// requestsOf sums what the Pod needs at its neediest moment: all containers and sidecars running, or one init container with the sidecars
// that started before it; and the overhead. Requests for the whole Pod take the place of the sum.
func requestsOf(pod *corev1.Pod) corev1.ResourceList {
	total := neediest(pod, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Requests })
	if pod.Spec.Resources != nil {
		for name, quantity := range pod.Spec.Resources.Requests {
			total[name] = quantity
		}
	}
	for name, quantity := range pod.Spec.Overhead {
		addTo(total, name, quantity)
	}
	return total
}

// limitsOf sums limits likewise, leaving out a resource for which some container has none.
func limitsOf(pod *corev1.Pod) corev1.ResourceList {
	total := neediest(pod, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Limits })
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				if limit, ok := list[i].Resources.Limits[name]; !ok || limit.IsZero() {
					delete(total, name)
				}
			}
		}
	}
	if pod.Spec.Resources != nil {
		for name, quantity := range pod.Spec.Resources.Limits {
			total[name] = quantity
		}
	}
	for name, quantity := range pod.Spec.Overhead {
		if _, limited := total[name]; limited {
			addTo(total, name, quantity)
		}
	}
	return total
}

func neediest(pod *corev1.Pod, of func(*corev1.Container) corev1.ResourceList) corev1.ResourceList {
	running, sidecars, starting := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for i := range pod.Spec.Containers {
		for name, quantity := range of(&pod.Spec.Containers[i]) {
			addTo(running, name, quantity)
		}
	}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		always := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
		for name, quantity := range of(container) {
			if always {
				addTo(running, name, quantity)
				addTo(sidecars, name, quantity)
				continue
			}
			moment := quantity.DeepCopy()
			moment.Add(sidecars[name])
			if most := starting[name]; moment.Cmp(most) > 0 {
				starting[name] = moment
			}
		}
	}
	for name, quantity := range starting {
		if have := running[name]; quantity.Cmp(have) > 0 {
			running[name] = quantity
		}
	}
	return running
}

// pageName is how the kernel names a huge page size: 2097152 is "2MB".
func pageName(bytes int64) string {
	units := []string{"B", "KB", "MB", "GB"}
	unit := 0
	for bytes >= 1024 && unit < len(units)-1 {
		bytes /= 1024
		unit++
	}
	return strings.TrimSpace(fmt.Sprintf("%d%s", bytes, units[unit]))
}

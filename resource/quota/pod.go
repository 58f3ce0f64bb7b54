package quota

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Requests is what a Pod asks a node for: its containers together, or its init containers in their turn, whichever is more;
// what is asked for the Pod as a whole instead, where it is; and its overhead. While a container is being resized, the
// larger of what it has and what it is to have counts. https://kep.k8s.io/753, https://kep.k8s.io/1287, https://kep.k8s.io/2837
func Requests(pod *corev1.Pod) corev1.ResourceList {
	total := sum(pod, func(c *corev1.Container, status *corev1.ContainerStatus) corev1.ResourceList {
		if status == nil {
			return c.Resources.Requests
		}
		list := corev1.ResourceList{}
		if !infeasible(pod) {
			atLeast(list, c.Resources.Requests)
		}
		if status.Resources != nil {
			atLeast(list, status.Resources.Requests)
		}
		atLeast(list, status.AllocatedResources)
		if len(list) == 0 {
			return c.Resources.Requests
		}
		return list
	})
	if pod.Spec.Resources != nil {
		whole(total, pod.Spec.Resources.Requests)
	}
	Add(total, pod.Spec.Overhead)
	return total
}

// Limits is the same for limits. Overhead is added to those only that there are.
func Limits(pod *corev1.Pod) corev1.ResourceList {
	total := sum(pod, func(c *corev1.Container, status *corev1.ContainerStatus) corev1.ResourceList {
		if status == nil || status.Resources == nil {
			return c.Resources.Limits
		}
		list := corev1.ResourceList{}
		if !infeasible(pod) {
			atLeast(list, c.Resources.Limits)
		}
		atLeast(list, status.Resources.Limits)
		return list
	})
	if pod.Spec.Resources != nil {
		whole(total, pod.Spec.Resources.Limits)
	}
	Add(total, Only(pod.Spec.Overhead, total))
	return total
}

// sum adds up what of() says of each container. Init containers that keep running count like the others, and beside each
// that starts after them.
func sum(pod *corev1.Pod, of func(*corev1.Container, *corev1.ContainerStatus) corev1.ResourceList) corev1.ResourceList {
	running := corev1.ResourceList{}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		Add(running, of(c, statusOf(pod.Status.ContainerStatuses, c.Name)))
	}
	most, sidecars := corev1.ResourceList{}, corev1.ResourceList{}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		list := of(c, statusOf(pod.Status.InitContainerStatuses, c.Name))
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			Add(running, list)
			Add(sidecars, list)
			atLeast(most, sidecars)
			continue
		}
		starting := corev1.ResourceList{}
		Add(starting, sidecars)
		Add(starting, list)
		atLeast(most, starting)
	}
	atLeast(running, most)
	return running
}

func statusOf(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &statuses[i]
}

// infeasible says whether the node has refused a resize for good.
func infeasible(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodResizePending && c.Reason == corev1.PodReasonInfeasible
	})
}

// atLeast raises each amount of list to that of other.
func atLeast(list, other corev1.ResourceList) {
	for name, amount := range other {
		if have, found := list[name]; !found || amount.Cmp(have) > 0 {
			list[name] = amount.DeepCopy()
		}
	}
}

// whole replaces sums by what is asked for the Pod as a whole: CPU, memory and huge pages may be.
func whole(total, asked corev1.ResourceList) {
	for name, amount := range asked {
		if name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			total[name] = amount.DeepCopy()
		}
	}
}

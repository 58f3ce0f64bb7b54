package core

import (
	corev1 "k8s.io/api/core/v1"
)

// QOSClass says how a pod is treated when a node runs short, by the CPU and memory that it asks for: Guaranteed if
// all have limits equal to their requests, BestEffort if none asks for anything, Burstable otherwise.
func QOSClass(pod *corev1.Pod) corev1.PodQOSClass {
	spec := &pod.Spec
	if spec.Resources != nil { // also if they ask for nothing
		return classOf([]corev1.ResourceRequirements{*spec.Resources})
	}
	all := make([]corev1.ResourceRequirements, 0, len(spec.Containers)+len(spec.InitContainers))
	for i := range spec.Containers {
		all = append(all, spec.Containers[i].Resources)
	}
	for i := range spec.InitContainers {
		all = append(all, spec.InitContainers[i].Resources)
	}
	return classOf(all)
}

func classOf(all []corev1.ResourceRequirements) corev1.PodQOSClass {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	guaranteed := true
	for i := range all {
		limited := 0
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if q := all[i].Requests[name]; q.Sign() > 0 {
				addTo(requests, corev1.ResourceList{name: q})
			}
			if q := all[i].Limits[name]; q.Sign() > 0 {
				addTo(limits, corev1.ResourceList{name: q})
				limited++
			}
		}
		guaranteed = guaranteed && limited == 2
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	for name, request := range requests {
		if limit, ok := limits[name]; !ok || limit.Cmp(request) != 0 {
			guaranteed = false
		}
	}
	if guaranteed && len(requests) == len(limits) {
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

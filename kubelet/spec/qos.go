package spec

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// QOS returns the pod's quality of service class: the one that the API server
// recorded, else computed from its requests and limits of CPU and memory.
func QOS(pod *v1.Pod) v1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	if r := pod.Spec.Resources; r != nil && (len(r.Requests) > 0 || len(r.Limits) > 0) {
		return classOf([]v1.ResourceRequirements{*r})
	}
	var all []v1.ResourceRequirements
	for _, c := range pod.Spec.InitContainers {
		all = append(all, c.Resources)
	}
	for _, c := range pod.Spec.Containers {
		all = append(all, c.Resources)
	}
	return classOf(all)
}

// classOf: Guaranteed where every container has limits of both and equal
// requests, BestEffort where none has any.
func classOf(all []v1.ResourceRequirements) v1.PodQOSClass {
	any, guaranteed := false, len(all) > 0
	for _, r := range all {
		for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
			limit, request := r.Limits[name], r.Requests[name]
			if _, set := r.Requests[name]; !set {
				request = limit
			}
			any = any || !limit.IsZero() || !request.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && limit.Cmp(request) == 0
		}
	}
	switch {
	case !any:
		return v1.PodQOSBestEffort
	case guaranteed:
		return v1.PodQOSGuaranteed
	}
	return v1.PodQOSBurstable
}

// SystemCritical is the lowest priority of the two built-in critical classes.
const SystemCritical int32 = 2_000_000_000

// Annotations by which upstream's kubelets mark where a pod came from.
const (
	AnnotationConfigSource = "kubernetes.io/config.source"
	AnnotationConfigMirror = v1.MirrorPodAnnotationKey
	AnnotationConfigHash   = "kubernetes.io/config.hash"
	AnnotationConfigSeen   = "kubernetes.io/config.seen"
)

// Static says whether the pod comes from this node's own manifests.
func Static(pod *v1.Pod) bool {
	source, ok := pod.Annotations[AnnotationConfigSource]
	return ok && source != "api"
}

// Mirror says whether the pod is the API server's picture of a static pod.
func Mirror(pod *v1.Pod) bool {
	_, ok := pod.Annotations[AnnotationConfigMirror]
	return ok
}

// Critical says whether the pod must not be evicted: static, mirror, or of a
// system-critical priority.
func Critical(pod *v1.Pod) bool {
	return Static(pod) || Mirror(pod) || (pod.Spec.Priority != nil && *pod.Spec.Priority >= SystemCritical)
}

// Requests returns what the scheduler counts for the pod: the larger of what its
// regular containers and sidecars need together and what each init container
// needs beside the sidecars before it, or the pod-level requests where it has
// them, plus its overhead.
func Requests(pod *v1.Pod) v1.ResourceList {
	return total(pod, func(r *v1.ResourceRequirements) v1.ResourceList { return r.Requests })
}

// Limits is Requests for limits; a resource that some container does not limit
// counts with those that do.
func Limits(pod *v1.Pod) v1.ResourceList {
	return total(pod, func(r *v1.ResourceRequirements) v1.ResourceList { return r.Limits })
}

func total(pod *v1.Pod, of func(*v1.ResourceRequirements) v1.ResourceList) v1.ResourceList {
	sum, sidecars, peak := v1.ResourceList{}, v1.ResourceList{}, v1.ResourceList{}
	for i := range pod.Spec.Containers {
		add(sum, of(&pod.Spec.Containers[i].Resources))
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		own := of(&c.Resources)
		stage := own.DeepCopy()
		if stage == nil {
			stage = v1.ResourceList{}
		}
		if Sidecar(c) {
			add(sum, own)
			add(sidecars, own)
			stage = sidecars
		} else {
			add(stage, sidecars)
		}
		raise(peak, stage)
	}
	raise(sum, peak)
	if pod.Spec.Resources != nil {
		for name, q := range of(pod.Spec.Resources) {
			sum[name] = q.DeepCopy()
		}
	}
	add(sum, pod.Spec.Overhead)
	return sum
}

func add(sum, more v1.ResourceList) {
	for name, q := range more {
		total := sum[name].DeepCopy()
		total.Add(q)
		sum[name] = total
	}
}

func raise(max, other v1.ResourceList) {
	for name, q := range other {
		if have, ok := max[name]; !ok || q.Cmp(have) > 0 {
			max[name] = q.DeepCopy()
		}
	}
}

// quantity returns the amount of a resource in list, zero if there is none.
func quantity(list v1.ResourceList, name v1.ResourceName) *resource.Quantity {
	q := list[name]
	return &q
}

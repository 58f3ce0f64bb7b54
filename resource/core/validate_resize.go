package core

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

const onlyCompute = "only cpu and memory resources are mutable"

// validateResize checks that only CPU and memory changed, and not so far that the pod would be of another class (KEP-1287).
func validateResize(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	errs := podItself(pod)
	class := old.Status.QOSClass
	if class == "" {
		class = QOSClass(old)
	}
	if QOSClass(pod) != class {
		errs = append(errs, field.Invalid(specPath, pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	if !nodeResizes(old) {
		errs = append(errs, field.Forbidden(specPath, "Pod running on node without support for resize"))
	}
	rest := pod.Spec.DeepCopy()
	errs = append(errs, podResize(rest, pod.Spec.Resources, old.Spec.Resources)...)
	if len(old.Status.NodeAllocatableResourceClaimStatuses) > 0 {
		errs = append(errs, field.Forbidden(specPath, "pods with node allocatable resource claims cannot be resized"))
	}
	other := otherContainers(pod.Spec.Containers, old.Spec.Containers, "containers")
	if other = append(other, otherContainers(pod.Spec.InitContainers, old.Spec.InitContainers, "initContainers")...); len(other) > 0 {
		return append(errs, other...)
	}
	errs = append(errs, removed(pod.Spec.InitContainers, old.Spec.InitContainers, specPath.Child("initContainers"))...)
	errs = append(errs, removed(pod.Spec.Containers, old.Spec.Containers, specPath.Child("containers"))...)
	errs = append(errs, resizeMain(rest.Containers, old.Spec.Containers)...)
	errs = append(errs, resizeInit(rest.InitContainers, old.Spec.InitContainers)...)
	if len(errs) == 0 && !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, onlyCompute))
	}
	return errs
}

// nodeResizes: a node that can resize reports the resources of what runs there.
func nodeResizes(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Running != nil {
			return pod.Status.ContainerStatuses[i].Resources != nil
		}
	}
	return true
}

// podResize checks spec.resources, and makes equal in rest what may have changed.
func podResize(rest *corev1.PodSpec, now, old *corev1.ResourceRequirements) field.ErrorList {
	at := specPath.Child("resources")
	if !anyResources(now) && !anyResources(old) {
		return nil
	}
	if now == nil {
		return field.ErrorList{field.Forbidden(at, "pod-level resources cannot be removed")}
	}
	before := corev1.ResourceRequirements{}
	var errs field.ErrorList
	if old != nil {
		before = *old
		if lacks(now.Requests, old.Requests) {
			errs = append(errs, field.Forbidden(at.Child("requests"), "pod-level resource requests cannot be removed"))
		}
		if lacks(now.Limits, old.Limits) {
			errs = append(errs, field.Forbidden(at.Child("limits"), "pod-level resource limits cannot be removed"))
		}
	}
	rest.Resources.Requests = computeAsBefore(now.Requests, before.Requests)
	rest.Resources.Limits = computeAsBefore(now.Limits, before.Limits)
	if old == nil && len(rest.Resources.Requests)+len(rest.Resources.Limits)+len(rest.Resources.Claims) == 0 {
		rest.Resources = nil
	}
	if !apiequality.Semantic.DeepEqual(rest.Resources, old) {
		errs = append(errs, field.Forbidden(specPath, onlyCompute+" at pod-level"))
	}
	return errs
}

func anyResources(r *corev1.ResourceRequirements) bool {
	return r != nil && len(r.Requests)+len(r.Limits) > 0
}

// otherContainers: the containers must be the same ones in the same order.
func otherContainers(now, old []corev1.Container, list string) field.ErrorList {
	if len(now) != len(old) {
		return field.ErrorList{field.Forbidden(specPath.Child(list), list+" may not be added or removed on resize")}
	}
	var errs field.ErrorList
	for i := range old {
		if now[i].Name != old[i].Name {
			errs = append(errs, field.Forbidden(specPath.Child(list).Index(i).Child("name"), list+" may not be renamed or reordered on resize"))
		}
	}
	return errs
}

// removed: what a container asked for or was limited to can change, but not go.
func removed(now, old []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range old {
		at := path.Index(i).Child("resources")
		if lacks(now[i].Resources.Requests, old[i].Resources.Requests) {
			errs = append(errs, field.Forbidden(at.Child("requests"), "resource requests cannot be removed"))
		}
		if lacks(now[i].Resources.Limits, old[i].Resources.Limits) {
			errs = append(errs, field.Forbidden(at.Child("limits"), "resource limits cannot be removed"))
		}
	}
	return errs
}

func lacks(now, old corev1.ResourceList) bool {
	for name := range old {
		if _, ok := now[name]; !ok {
			return true
		}
	}
	return len(old) > len(now)
}

// resizeMain checks that nothing but CPU and memory changed, and makes those equal.
func resizeMain(now, old []corev1.Container) field.ErrorList {
	var errs field.ErrorList
	for i := range now {
		if !sameButCompute(&now[i], &old[i]) {
			errs = append(errs, field.Forbidden(specPath, onlyCompute))
		}
	}
	return errs
}

// resizeInit does the same; a container that runs to its end cannot be started again for it.
func resizeInit(now, old []corev1.Container) field.ErrorList {
	var errs field.ErrorList
	for i := range now {
		at := specPath.Child("initContainers").Index(i)
		changed := !apiequality.Semantic.DeepEqual(now[i], old[i])
		if !sameButCompute(&now[i], &old[i]) {
			errs = append(errs, field.Forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable"))
		}
		if !changed || Sidecar(&now[i]) {
			continue
		}
		for _, policy := range now[i].ResizePolicy {
			if policy.RestartPolicy == corev1.RestartContainer {
				errs = append(errs, field.Forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"))
			}
		}
	}
	return errs
}

func sameButCompute(now, old *corev1.Container) bool {
	now.Resources = corev1.ResourceRequirements{
		Limits:   computeAsBefore(now.Resources.Limits, old.Resources.Limits),
		Requests: computeAsBefore(now.Resources.Requests, old.Resources.Requests),
	}
	return apiequality.Semantic.DeepEqual(*now, *old)
}

// computeAsBefore is a list with the CPU and memory of another.
func computeAsBefore(now, old corev1.ResourceList) corev1.ResourceList {
	if now == nil && old == nil {
		return nil
	}
	list := corev1.ResourceList{}
	maps.Copy(list, now)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		delete(list, name)
		if before, ok := old[name]; ok {
			list[name] = before
		}
	}
	return list
}

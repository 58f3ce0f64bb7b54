package core

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
)

// validatePodStatus checks what nodes report.
func validatePodStatus(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	errs := annotationUpdate(pod.Annotations, old.Annotations, metaPath.Child("annotations"))
	errs = append(errs, podConditions(pod.Status.Conditions, statusPath.Child("conditions"))...)
	errs = append(errs, NonNegative(pod.Status.ObservedGeneration, statusPath.Child("observedGeneration"))...)
	if name := pod.Status.NominatedNodeName; name != "" && name != old.Status.NominatedNodeName {
		errs = append(errs, DNSSubdomain(name, statusPath.Child("nominatedNodeName"))...)
	}
	policy := pod.Spec.RestartPolicy
	errs = append(errs, restarts(pod.Status.ContainerStatuses, old.Status.ContainerStatuses, policy, nil, statusPath.Child("containerStatuses"))...)
	errs = append(errs, restarts(pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, policy, pod.Spec.InitContainers, statusPath.Child("initContainerStatuses"))...)
	errs = append(errs, restarts(pod.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses, corev1.RestartPolicyNever, nil, statusPath.Child("ephemeralContainerStatuses"))...)
	for i, claim := range pod.Status.ResourceClaimStatuses {
		at := statusPath.Child("resourceClaimStatuses").Index(i)
		if !slices.ContainsFunc(pod.Spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == claim.Name }) {
			errs = append(errs, field.Invalid(at.Child("name"), claim.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if claim.ResourceClaimName != nil {
			errs = append(errs, DNSSubdomain(*claim.ResourceClaimName, at.Child("name"))...)
		}
	}
	ips := make([]string, len(pod.Status.PodIPs))
	for i := range ips {
		ips[i] = pod.Status.PodIPs[i].IP
	}
	errs = append(errs, onePerFamily(ips, statusPath.Child("podIPs"))...)
	hosts := make([]string, len(pod.Status.HostIPs))
	for i := range hosts {
		hosts[i] = pod.Status.HostIPs[i].IP
	}
	return append(errs, onePerFamily(hosts, statusPath.Child("hostIPs"))...)
}

func podConditions(conditions []corev1.PodCondition, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range conditions {
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			errs = append(errs, QualifiedName(string(c.Type), path.Index(i).Child("Type"))...)
		}
	}
	return errs
}

// restarts: a container that has ended for good cannot be reported as going again. Init containers bring their
// specs, since sidecars restart on their own terms.
func restarts(now, old []corev1.ContainerStatus, policy corev1.RestartPolicy, specs []corev1.Container, path *field.Path) field.ErrorList {
	if policy == corev1.RestartPolicyAlways {
		return nil
	}
	may := map[string]bool{}
	for i := range specs {
		may[specs[i].Name] = specs[i].RestartPolicy != nil || len(specs[i].RestartPolicyRules) > 0
	}
	var errs field.ErrorList
	for i, before := range old {
		ended := before.State.Terminated
		if ended == nil || may[before.Name] || ended.ExitCode != 0 && policy == corev1.RestartPolicyOnFailure {
			continue
		}
		for _, after := range now {
			if after.Name == before.Name && after.State.Terminated == nil {
				errs = append(errs, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

// onePerFamily: a pod has at most one address of each family.
func onePerFamily(ips []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		errs = append(errs, validation.IsValidIPForLegacyField(path.Index(i), ip, false, nil)...)
	}
	if len(ips) > 1 && len(errs) == 0 {
		if dual, err := netutils.IsDualStackIPStrings(ips); err != nil || !dual || len(ips) > 2 {
			errs = append(errs, field.Invalid(path, ips, "may specify no more than one IP for each IP family"))
		}
		seen := sets.New[string]()
		for i, ip := range ips {
			if seen.Has(ip) {
				errs = append(errs, field.Duplicate(path.Index(i), ip))
			}
			seen.Insert(ip)
		}
	}
	return errs
}

// validateEphemeralContainers checks that debugging containers were only added.
func validateEphemeralContainers(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	errs := podItself(pod)
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers"))
	}
	path := specPath.Child("ephemeralContainers")
	for _, before := range old.Spec.EphemeralContainers {
		i := slices.IndexFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == before.Name })
		if i < 0 {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", before.Name)))
			continue
		}
		if after := pod.Spec.EphemeralContainers[i]; !apiequality.Semantic.DeepEqual(before, after) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", before.Name, diff.Diff(before, after))))
		}
	}
	return errs
}

// validateResize checks that only CPU and memory changed, and not so far that the pod would be of another class.
func validateResize(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	errs := podItself(pod)
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return append(errs, field.Forbidden(field.NewPath(""), "windows pods cannot be resized"))
	}
	if class := QOSClass(old); QOSClass(pod) != class {
		errs = append(errs, field.Invalid(specPath, QOSClass(pod), "Pod QOS Class may not change as a result of resizing"))
	}
	rest := pod.Spec.DeepCopy()
	errs = append(errs, resized(rest.Containers, old.Spec.Containers, specPath.Child("containers"), func(*corev1.Container) bool { return true })...)
	errs = append(errs, resized(rest.InitContainers, old.Spec.InitContainers, specPath.Child("initContainers"), Sidecar)...)
	if !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, "only cpu and memory resources are mutable\n"+diff.Diff(old.Spec, *rest)))
	}
	return errs
}

// resized checks the containers that may be resized, and makes equal what it let pass.
func resized(now, old []corev1.Container, path *field.Path, may func(*corev1.Container) bool) field.ErrorList {
	var errs field.ErrorList
	for i := range now {
		if i >= len(old) || !may(&old[i]) {
			continue
		}
		at := path.Index(i).Child("resources")
		errs = append(errs, resizedList(&now[i].Resources.Limits, old[i].Resources.Limits, at.Child("limits"), "resource limits cannot be removed")...)
		errs = append(errs, resizedList(&now[i].Resources.Requests, old[i].Resources.Requests, at.Child("requests"), "resource requests cannot be removed")...)
	}
	return errs
}

func resizedList(now *corev1.ResourceList, old corev1.ResourceList, path *field.Path, removed string) field.ErrorList {
	var errs field.ErrorList
	list := maps.Clone(*now)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		before, had := old[name]
		_, has := list[name]
		switch {
		case had && !has:
			errs = append(errs, field.Forbidden(path, removed))
			if list == nil {
				list = corev1.ResourceList{}
			}
			list[name] = before
		case had:
			list[name] = before
		default:
			delete(list, name)
		}
	}
	*now = list
	return errs
}

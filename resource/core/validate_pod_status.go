package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
)

// validatePodStatus checks what nodes report.
func validatePodStatus(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	status, before := &pod.Status, &old.Status
	errs := annotationUpdate(pod.Annotations, old.Annotations, metaPath.Child("annotations"))
	errs = append(errs, podConditions(status.Conditions, statusPath.Child("conditions"))...)
	if name, at := status.NominatedNodeName, statusPath.Child("nominatedNodeName"); name != "" && name != before.NominatedNodeName {
		errs = append(errs, DNSSubdomain(name, at)...)
		if old.Spec.NodeName != "" {
			errs = append(errs, field.Forbidden(at, "may not be set on pods that are already bound to a node"))
		}
	}
	errs = append(errs, observed(status.ObservedGeneration, statusPath.Child("observedGeneration"))...)
	errs = append(errs, Immutable(status.QOSClass, before.QOSClass, statusPath.Child("qosClass"))...)
	errs = append(errs, podRestarts(status, old)...)
	errs = append(errs, claimStatuses(status.ResourceClaimStatuses, &pod.Spec, statusPath.Child("resourceClaimStatuses"))...)
	errs = append(errs, extendedClaim(status.ExtendedResourceClaimStatus, &pod.Spec, statusPath.Child("extendedResourceClaimStatus"))...)
	errs = append(errs, podIPList(status, before)...)
	for _, list := range []struct {
		name       string
		statuses   []corev1.ContainerStatus
		containers []corev1.Container
	}{
		{"containerStatuses", status.ContainerStatuses, pod.Spec.Containers},
		{"initContainerStatuses", status.InitContainerStatuses, pod.Spec.InitContainers},
		{"ephemeralContainerStatuses", status.EphemeralContainerStatuses, nil},
	} {
		at := statusPath.Child(list.name)
		errs = append(errs, containerUsers(list.statuses, pod.Spec.OS, at)...)
		errs = append(errs, deviceHealth(list.statuses, list.containers, at, list.name == "ephemeralContainerStatuses")...)
	}
	return errs
}

func observed(generation int64, path *field.Path) field.ErrorList {
	if generation < 0 {
		return field.ErrorList{field.Invalid(path, generation, "must be a non-negative integer")}
	}
	return nil
}

func podConditions(conditions []corev1.PodCondition, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range conditions {
		errs = append(errs, observed(c.ObservedGeneration, path.Index(i).Child("observedGeneration"))...)
		switch c.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			errs = append(errs, QualifiedName(string(c.Type), path.Index(i).Child("Type"))...)
		}
	}
	return errs
}

func claimStatuses(statuses []corev1.PodResourceClaimStatus, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, claim := range statuses {
		at := path.Index(i)
		if !slices.ContainsFunc(spec.ResourceClaims, func(c corev1.PodResourceClaim) bool { return c.Name == claim.Name }) {
			errs = append(errs, field.Invalid(at.Child("name"), claim.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if seen.Has(claim.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), claim.Name))
		}
		seen.Insert(claim.Name)
		if claim.ResourceClaimName != nil {
			errs = append(errs, DNSSubdomain(*claim.ResourceClaimName, at.Child("resourceClaimName"))...)
		}
	}
	return errs
}

// extendedClaim checks the claim that was made for extended resources which devices stand for (KEP-5004).
func extendedClaim(status *corev1.PodExtendedResourceClaimStatus, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if status == nil {
		return nil
	}
	containers := map[string]*corev1.Container{}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			containers[list[i].Name] = &list[i]
		}
	}
	var errs field.ErrorList
	mappings := path.Child("requestMappings")
	if len(status.RequestMappings) == 0 {
		errs = append(errs, field.Required(mappings, "at least one request mapping is required"))
	}
	seen := sets.New[corev1.ContainerExtendedResourceRequest]()
	for i, m := range status.RequestMappings {
		at := mappings.Index(i)
		container := containers[m.ContainerName]
		if container == nil {
			errs = append(errs, field.Invalid(at.Child("containerName"), m.ContainerName, "must match the name of an entry in spec.initContainers.name or spec.containers.name"))
		} else if _, ok := container.Resources.Requests[corev1.ResourceName(m.ResourceName)]; !ok {
			errs = append(errs, field.Invalid(at.Child("resourceName"), m.ResourceName,
				"must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"))
		}
		errs = append(errs, DNSLabel(m.RequestName, path.Child("requestName"))...)
		if seen.Has(m) {
			errs = append(errs, field.Duplicate(at.Child("containerName"), m.ContainerName), field.Duplicate(at.Child("resourceName"), m.ResourceName),
				field.Duplicate(at.Child("requestName"), m.RequestName))
		}
		seen.Insert(m)
	}
	if status.ResourceClaimName == "" {
		return append(errs, field.Required(path.Child("resourceClaimName"), ""))
	}
	return append(errs, DNSSubdomain(status.ResourceClaimName, path.Child("resourceClaimName"))...)
}

// podIPList checks addresses; one that was there before may stay, whatever it looks like.
func podIPList(status, old *corev1.PodStatus) field.ErrorList {
	ips, known := make([]string, len(status.PodIPs)), make([]string, len(old.PodIPs))
	for i := range ips {
		ips[i] = status.PodIPs[i].IP
	}
	for i := range known {
		known[i] = old.PodIPs[i].IP
	}
	errs := onePerFamily(ips, known, status.PodIPs, statusPath.Child("podIPs"))
	if len(status.HostIPs) == 0 {
		return errs
	}
	at := statusPath.Child("hostIPs")
	if first := status.HostIPs[0].IP; status.HostIP != first {
		errs = append(errs, field.Invalid(at.Index(0).Child("ip"), first, "must be equal to `hostIP`"))
	}
	hosts, knownHosts := make([]string, len(status.HostIPs)), make([]string, len(old.HostIPs))
	for i := range hosts {
		hosts[i] = status.HostIPs[i].IP
	}
	for i := range knownHosts {
		knownHosts[i] = old.HostIPs[i].IP
	}
	return append(errs, onePerFamily(hosts, knownHosts, status.HostIPs, at)...)
}

// onePerFamily: a pod has at most one address of each family.
func onePerFamily(ips, known []string, value any, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, ip := range ips {
		errs = append(errs, validation.IsValidIPForLegacyField(path.Index(i), ip, true, known)...)
	}
	if len(ips) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(ips) > 2 {
		errs = append(errs, field.Invalid(path, value, "may specify no more than one IP for each IP family"))
	}
	return errs
}

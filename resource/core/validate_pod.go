package core

import (
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

var (
	metaPath   = field.NewPath("metadata")
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

// validatePod checks a new pod.
func validatePod(_ *resource.Request, pod *corev1.Pod) field.ErrorList {
	errs := podItself(pod)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return append(errs, profilesAgree(pod)...)
}

// podItself checks what must hold for a pod at all times.
func podItself(pod *corev1.Pod) field.ErrorList {
	errs := podAnnotations(pod.Annotations, &pod.Spec, metaPath.Child("annotations"))
	c := &podCheck{isPod: true, spec: &pod.Spec}
	errs = append(errs, c.check(&pod.ObjectMeta, specPath)...)
	if pod.Spec.ServiceAccountName == "" {
		errs = append(errs, tokensWithoutAccount(pod.Spec.Volumes)...)
	}
	errs = append(errs, onlyForPods(pod.Spec.Containers, specPath.Child("containers"))...)
	return append(errs, onlyForPods(pod.Spec.InitContainers, specPath.Child("initContainers"))...)
}

func tokensWithoutAccount(volumes []corev1.Volume) field.ErrorList {
	var errs field.ErrorList
	for i := range volumes {
		if volumes[i].Projected == nil {
			continue
		}
		for j := range volumes[i].Projected.Sources {
			if volumes[i].Projected.Sources[j].ServiceAccountToken != nil {
				errs = append(errs, field.Forbidden(specPath.Child("volumes").Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}

// ValidatePodTemplate checks the pod template of a workload.
func ValidatePodTemplate(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := ValidateTemplateMeta(template, path)
	c := &podCheck{spec: &template.Spec}
	errs = append(errs, c.check(nil, path.Child("spec"))...)
	if len(template.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

// ValidateTemplateMeta checks the labels and annotations of a workload's pod template.
func ValidateTemplateMeta(template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(template.Labels, path.Child("labels"))
	errs = append(errs, apivalidation.ValidateAnnotations(template.Annotations, path.Child("annotations"))...)
	return append(errs, podAnnotations(template.Annotations, &template.Spec, path.Child("annotations"))...)
}

// podAnnotations checks the annotations that mean something to the cluster.
func podAnnotations(annotations map[string]string, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if value, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && spec.NodeName == "" {
		errs = append(errs, field.Invalid(path.Key(corev1.MirrorPodAnnotationKey), value, "must set spec.nodeName if mirror pod annotation is set"))
	}
	if cost, ok := annotations[corev1.PodDeletionCost]; ok {
		if n, err := strconv.ParseInt(cost, 10, 32); err != nil || strconv.FormatInt(n, 10) != strings.TrimPrefix(cost, "+") || strings.HasPrefix(cost, "+") {
			errs = append(errs, field.Invalid(path.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	return append(errs, profileAnnotations(annotations, spec, path)...)
}

// check goes through a pod's spec in upstream's order. meta is nil for templates.
func (c *podCheck) check(meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	spec := c.spec
	if spec.TerminationGracePeriodSeconds != nil {
		c.grace = *spec.TerminationGracePeriodSeconds
	}
	errs := c.volumes(spec.Volumes, meta, path.Child("volumes"))
	errs = append(errs, c.podClaims(meta, path.Child("resourceClaims"))...)
	errs = append(errs, c.mainContainers(path.Child("containers"))...)
	errs = append(errs, c.initContainers(path.Child("initContainers"))...)
	errs = append(errs, c.ephemeralContainers(path.Child("ephemeralContainers"))...)
	errs = append(errs, c.podResources(path.Child("resources"))...)
	errs = append(errs, c.hostNetworkPorts(spec.Containers, path.Child("containers"))...)
	errs = append(errs, c.hostNetworkPorts(spec.InitContainers, path.Child("initContainers"))...)
	errs = append(errs, OneOf(spec.RestartPolicy, path.Child("restartPolicy"),
		corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, OneOf(spec.DNSPolicy, path.Child("dnsPolicy"),
		corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, metav1validation.ValidateLabels(spec.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, c.podSecurity(spec.SecurityContext, path.Child("securityContext"))...)
	errs = append(errs, affinity(spec.Affinity, path.Child("affinity"))...)
	errs = append(errs, c.dnsConfig(spec.DNSConfig, path.Child("dnsConfig"))...)
	for i, gate := range spec.ReadinessGates {
		errs = append(errs, QualifiedName(string(gate.ConditionType), path.Child("readinessGates").Index(i).Child("conditionType"))...)
	}
	errs = append(errs, schedulingGates(spec.SchedulingGates, path.Child("schedulingGates"))...)
	errs = append(errs, topologySpread(spec.TopologySpreadConstraints, path.Child("topologySpreadConstraints"))...)
	errs = append(errs, c.hostProcess(path)...)
	errs = append(errs, c.userNamespace(path)...)
	errs = append(errs, c.names(path)...)
	if deadline := spec.ActiveDeadlineSeconds; deadline != nil {
		errs = append(errs, inRange(int(*deadline), 1, math.MaxInt32, path.Child("activeDeadlineSeconds"))...)
	}
	errs = append(errs, Tolerations(spec.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, hostAliases(spec.HostAliases, path.Child("hostAliases"))...)
	if spec.PreemptionPolicy != nil {
		errs = append(errs, OneOf(*spec.PreemptionPolicy, path.Child("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if spec.Overhead != nil {
		errs = append(errs, Overhead(spec.Overhead, path.Child("overhead"))...)
	}
	return append(errs, c.operatingSystem(path)...)
}

// Overhead checks what a runtime needs beside a pod's containers: of pods and of RuntimeClasses.
func Overhead(overhead corev1.ResourceList, path *field.Path) field.ErrorList {
	return containerResources(&corev1.ResourceRequirements{Limits: overhead}, nil, path)
}

// names checks the fields that name other objects, and the pod's own host name.
func (c *podCheck) names(path *field.Path) field.ErrorList {
	spec := c.spec
	var errs field.ErrorList
	subdomain := func(value string, name string) {
		if value != "" {
			errs = append(errs, DNSSubdomain(value, path.Child(name))...)
		}
	}
	subdomain(spec.ServiceAccountName, "serviceAccountName")
	subdomain(spec.NodeName, "nodeName")
	if spec.Hostname != "" {
		errs = append(errs, DNSLabel(spec.Hostname, path.Child("hostname"))...)
	}
	if spec.Subdomain != "" {
		errs = append(errs, DNSLabel(spec.Subdomain, path.Child("subdomain"))...)
	}
	if name := spec.HostnameOverride; name != nil {
		errs = append(errs, hostnameOverride(spec, *name, path.Child("hostnameOverride"))...)
	}
	subdomain(spec.PriorityClassName, "priorityClassName")
	if spec.RuntimeClassName != nil {
		errs = append(errs, DNSSubdomain(*spec.RuntimeClassName, path.Child("runtimeClassName"))...)
	}
	return errs
}

// maxHostname is how long a Linux host name may be.
const maxHostname = 64

// hostnameOverride checks a host name that is only the pod's own affair (KEP-4762).
func hostnameOverride(spec *corev1.PodSpec, name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.HostNetwork {
		errs = append(errs, field.Forbidden(path, "may not be specified when hostNetwork is true"))
	}
	if spec.SetHostnameAsFQDN != nil && *spec.SetHostnameAsFQDN {
		errs = append(errs, field.Forbidden(path, "may not be specified when setHostnameAsFQDN is true"))
	}
	if len(name) > maxHostname {
		errs = append(errs, field.TooLong(path, name, maxHostname))
	}
	return append(errs, DNSSubdomain(name, path)...)
}

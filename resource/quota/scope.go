package quota

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/septet-io/septet/resource/core"
)

// Matches says whether an object is in every scope of a quota. Objects other than Pods and claims are in none.
func Matches(quota *corev1.ResourceQuota, obj any) bool {
	return !slices.ContainsFunc(scopesOf(quota), func(r corev1.ScopedResourceSelectorRequirement) bool { return !inScope(obj, r) })
}

// scopesOf are all scopes of a quota, in the longer form.
func scopesOf(quota *corev1.ResourceQuota) (all []corev1.ScopedResourceSelectorRequirement) {
	for _, scope := range quota.Spec.Scopes {
		all = append(all, corev1.ScopedResourceSelectorRequirement{ScopeName: scope, Operator: corev1.ScopeSelectorOpExists})
	}
	if quota.Spec.ScopeSelector != nil {
		all = append(all, quota.Spec.ScopeSelector.MatchExpressions...)
	}
	return all
}

// Scopes returns those of some requirements that an object meets.
func Scopes(of []corev1.ScopedResourceSelectorRequirement, obj any) (met []corev1.ScopedResourceSelectorRequirement) {
	for _, r := range of {
		if inScope(obj, r) {
			met = append(met, r)
		}
	}
	return met
}

// ScopesOf returns those scopes of a quota that an object is in.
func ScopesOf(quota *corev1.ResourceQuota, obj any) []corev1.ScopedResourceSelectorRequirement {
	return Scopes(scopesOf(quota), obj)
}

func inScope(obj any, r corev1.ScopedResourceSelectorRequirement) bool {
	switch object := obj.(type) {
	case *corev1.Pod:
		return podInScope(object, r)
	case *corev1.PersistentVolumeClaim:
		return r.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass && holds(r, attributesClasses(object))
	}
	return false
}

func podInScope(pod *corev1.Pod, r corev1.ScopedResourceSelectorRequirement) bool {
	deadline := pod.Spec.ActiveDeadlineSeconds
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return deadline != nil && *deadline >= 0
	case corev1.ResourceQuotaScopeNotTerminating:
		return deadline == nil || *deadline < 0
	case corev1.ResourceQuotaScopeBestEffort:
		return core.QOSClass(pod) == corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopeNotBestEffort:
		return core.QOSClass(pod) != corev1.PodQOSBestEffort
	case corev1.ResourceQuotaScopePriorityClass:
		if pod.Spec.PriorityClassName == "" {
			return holds(r, nil)
		}
		return holds(r, sets.New(pod.Spec.PriorityClassName))
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return looksElsewhere(pod.Spec.Affinity)
	}
	return false
}

// holds says whether a requirement is true of the classes that an object has.
func holds(r corev1.ScopedResourceSelectorRequirement, classes sets.Set[string]) bool {
	switch r.Operator {
	case corev1.ScopeSelectorOpExists:
		return len(classes) > 0
	case corev1.ScopeSelectorOpDoesNotExist:
		return len(classes) == 0
	case corev1.ScopeSelectorOpIn:
		return classes.HasAny(r.Values...)
	case corev1.ScopeSelectorOpNotIn:
		return !classes.HasAny(r.Values...)
	}
	return false
}

// attributesClasses are the volume attributes classes that a claim asks for, is moving to, or has.
func attributesClasses(claim *corev1.PersistentVolumeClaim) sets.Set[string] {
	classes := sets.New[string]()
	if name := claim.Spec.VolumeAttributesClassName; name != nil && *name != "" {
		classes.Insert(*name)
	}
	if name := claim.Status.CurrentVolumeAttributesClassName; name != nil && *name != "" {
		classes.Insert(*name)
	}
	if status := claim.Status.ModifyVolumeStatus; status != nil && status.TargetVolumeAttributesClassName != "" {
		classes.Insert(status.TargetVolumeAttributesClassName)
	}
	return classes
}

// looksElsewhere says whether an affinity makes Pods of other namespaces matter.
func looksElsewhere(affinity *corev1.Affinity) bool {
	if affinity == nil {
		return false
	}
	elsewhere := func(t corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil }
	weighted := func(t corev1.WeightedPodAffinityTerm) bool { return elsewhere(t.PodAffinityTerm) }
	if a := affinity.PodAffinity; a != nil && (slices.ContainsFunc(a.RequiredDuringSchedulingIgnoredDuringExecution, elsewhere) ||
		slices.ContainsFunc(a.PreferredDuringSchedulingIgnoredDuringExecution, weighted)) {
		return true
	}
	a := affinity.PodAntiAffinity
	return a != nil && (slices.ContainsFunc(a.RequiredDuringSchedulingIgnoredDuringExecution, elsewhere) ||
		slices.ContainsFunc(a.PreferredDuringSchedulingIgnoredDuringExecution, weighted))
}

// mustSpecify are the resources that containers have to give amounts of where a quota limits them: without, there would be
// nothing to count.
var mustSpecify = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
}

// Missing is an error if a quota with these limits cannot count a Pod: "must specify limits.cpu for: a,b; memory for: b".
func Missing(hard corev1.ResourceList, pod *corev1.Pod) error {
	ofPod := corev1.ResourceList{}
	if pod.Spec.Resources != nil {
		amounts(ofPod, pod.Spec.Resources.Requests, pod.Spec.Resources.Limits)
	}
	var texts []string
	for _, name := range mustSpecify {
		if _, limited := hard[name]; !limited {
			continue
		}
		if _, given := ofPod[name]; given {
			continue
		}
		if names := lacking(pod, name); len(names) > 0 {
			texts = append(texts, string(name)+" for: "+strings.Join(names, ","))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	slices.Sort(texts)
	return fmt.Errorf("must specify %s", strings.Join(texts, "; "))
}

// lacking returns the containers that give no amount of a resource.
func lacking(pod *corev1.Pod, name corev1.ResourceName) []string {
	var names []string
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			given := corev1.ResourceList{}
			amounts(given, containers[i].Resources.Requests, containers[i].Resources.Limits)
			if _, found := given[name]; !found {
				names = append(names, containers[i].Name)
			}
		}
	}
	slices.Sort(names)
	return names
}

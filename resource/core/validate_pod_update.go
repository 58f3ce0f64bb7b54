package core

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// updatable is what of a pod's spec may change, as its author is told.
const updatable = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// validatePodUpdate checks a pod against the one before: nearly all of a pod is fixed once it exists.
func validatePodUpdate(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	errs := podItself(pod)
	errs = append(errs, annotationUpdate(pod.Annotations, old.Annotations, metaPath.Child("annotations"))...)
	more, stop := imagesUpdate(pod.Spec.Containers, old.Spec.Containers, specPath.Child("containers"))
	errs = append(errs, more...)
	if stop {
		return errs
	}
	more, stop = imagesUpdate(pod.Spec.InitContainers, old.Spec.InitContainers, specPath.Child("initContainers"))
	errs = append(errs, more...)
	if stop {
		return errs
	}
	if more := deadlineUpdate(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, specPath.Child("activeDeadlineSeconds")); len(more) > 0 {
		errs = append(errs, more...)
		if pod.Spec.ActiveDeadlineSeconds != nil {
			return errs
		}
	}
	errs = append(errs, tolerationsUpdate(pod.Spec.Tolerations, old.Spec.Tolerations, specPath.Child("tolerations"))...)
	errs = append(errs, gatesUpdate(pod.Spec.SchedulingGates, old.Spec.SchedulingGates, specPath.Child("schedulingGates"))...)

	// What may change is made equal; whatever differs then may not.
	rest := pod.Spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds, rest.SchedulingGates, rest.Tolerations =
		old.Spec.ActiveDeadlineSeconds, old.Spec.SchedulingGates, old.Spec.Tolerations
	if now, before := rest.TerminationGracePeriodSeconds, old.Spec.TerminationGracePeriodSeconds; now != nil && *now == 1 && before != nil && *before < 0 {
		rest.TerminationGracePeriodSeconds = before
	}
	if len(old.Spec.SchedulingGates) > 0 {
		errs = append(errs, gatedUpdate(rest, &old.Spec)...)
	}
	if !apiequality.Semantic.DeepEqual(*rest, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, "pod updates may not change fields other than "+updatable+"\n"+diff.Diff(old.Spec, *rest)))
	}
	return errs
}

// annotationUpdate: some annotations are as fixed as the fields that they stood for.
func annotationUpdate(now, old map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for key, value := range old {
		if after, ok := now[key]; ok && after == value {
			continue
		}
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			errs = append(errs, field.Forbidden(path.Key(key), "may not remove or update AppArmor annotations"))
		}
		if key == corev1.MirrorPodAnnotationKey {
			errs = append(errs, field.Forbidden(path.Key(key), "may not remove or update mirror pod annotation"))
		}
	}
	for key := range now {
		if _, ok := old[key]; ok {
			continue
		}
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			errs = append(errs, field.Forbidden(path.Key(key), "may not add AppArmor annotations"))
		}
		if key == corev1.MirrorPodAnnotationKey {
			errs = append(errs, field.Forbidden(path.Key(key), "may not add mirror pod annotation"))
		}
	}
	return errs
}

// imagesUpdate checks containers whose images may have changed, and says whether there is no point in going on.
func imagesUpdate(now, old []corev1.Container, path *field.Path) (errs field.ErrorList, stop bool) {
	if len(now) != len(old) {
		return field.ErrorList{field.Forbidden(path, "pod updates may not add or remove containers")}, true
	}
	for i := range now {
		errs = append(errs, given(now[i].Image, path.Index(i).Child("image"))...)
		errs = append(errs, trimmedImage(now[i].Image, path.Index(i))...)
	}
	return errs, false
}

// deadlineUpdate: a deadline may come, or come earlier.
func deadlineUpdate(now, old *int64, path *field.Path) field.ErrorList {
	switch {
	case now == nil && old == nil:
		return nil
	case now == nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}
	case *now < 0 || *now > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, *now, validation.InclusiveRangeError(0, math.MaxInt32))}
	case old != nil && *old < *now:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}
	}
	return nil
}

// tolerationsUpdate: tolerations may be added, and last longer or shorter.
func tolerationsUpdate(now, old []corev1.Toleration, path *field.Path) field.ErrorList {
	for _, before := range old {
		kept := slices.ContainsFunc(now, func(t corev1.Toleration) bool {
			return t.Key == before.Key && t.Operator == before.Operator && t.Value == before.Value && t.Effect == before.Effect
		})
		if !kept {
			return field.ErrorList{field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

// gatesUpdate: gates may only be taken away.
func gatesUpdate(now, old []corev1.PodSchedulingGate, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, gate := range now {
		if !slices.Contains(old, gate) {
			errs = append(errs, field.Forbidden(path.Index(i), "only deletion is allowed, but found new scheduling gate '"+gate.Name+"'"))
		}
	}
	return errs
}

// gatedUpdate lets a pod that is not yet scheduled be narrowed to fewer nodes, and makes equal what it let pass.
func gatedUpdate(spec, old *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for key, value := range old.NodeSelector {
		if now, ok := spec.NodeSelector[key]; !ok || now != value {
			errs = append(errs, field.Invalid(specPath.Child("nodeSelector"), spec.NodeSelector,
				"only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	spec.NodeSelector = old.NodeSelector
	errs = append(errs, nodeAffinityUpdate(nodeAffinity(spec), nodeAffinity(old), specPath.Child("affinity", "nodeAffinity"))...)
	switch {
	case nodeAffinity(spec) == nil && nodeAffinity(old) == nil:
	case nodeAffinity(old) == nil:
		spec.Affinity.NodeAffinity = nil
		if *spec.Affinity == (corev1.Affinity{}) && old.Affinity == nil {
			spec.Affinity = nil
		}
	default:
		if spec.Affinity == nil {
			spec.Affinity = &corev1.Affinity{}
		}
		spec.Affinity.NodeAffinity = old.Affinity.NodeAffinity
	}
	return errs
}

func nodeAffinity(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

func nodeAffinityUpdate(now, old *corev1.NodeAffinity, path *field.Path) field.ErrorList {
	before := requiredNodeTerms(old)
	if len(before) == 0 {
		return nil
	}
	terms := path.Child(requiredTerms, "nodeSelectorTerms")
	after := requiredNodeTerms(now)
	if len(after) != len(before) {
		return field.ErrorList{field.Invalid(terms, after, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var errs field.ErrorList
	for i := range before {
		if !onlyAdded(after[i].MatchExpressions, before[i].MatchExpressions) || !onlyAdded(after[i].MatchFields, before[i].MatchFields) {
			errs = append(errs, field.Invalid(terms.Index(i), after[i], "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
}

func requiredNodeTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// onlyAdded: a term without requirements matches nothing, so adding to it would widen it.
func onlyAdded(now, old []corev1.NodeSelectorRequirement) bool {
	if len(now) < len(old) || len(old) == 0 && len(now) > 0 {
		return len(old) == 0
	}
	return apiequality.Semantic.DeepEqual(now[:len(old)], old)
}

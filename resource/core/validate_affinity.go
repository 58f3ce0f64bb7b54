package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	requiredTerms  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferredTerms = "preferredDuringSchedulingIgnoredDuringExecution"
)

func affinity(a *corev1.Affinity, path *field.Path) field.ErrorList {
	if a == nil {
		return nil
	}
	var errs field.ErrorList
	if node := a.NodeAffinity; node != nil {
		at := path.Child("nodeAffinity")
		if node.RequiredDuringSchedulingIgnoredDuringExecution != nil {
			errs = append(errs, NodeSelector(node.RequiredDuringSchedulingIgnoredDuringExecution, at.Child(requiredTerms))...)
		}
		for i := range node.PreferredDuringSchedulingIgnoredDuringExecution {
			term, at := &node.PreferredDuringSchedulingIgnoredDuringExecution[i], at.Child(preferredTerms).Index(i)
			errs = append(errs, weight(term.Weight, at)...)
			errs = append(errs, nodeSelectorTerm(&term.Preference, at.Child("preference"))...)
		}
	}
	if near := a.PodAffinity; near != nil {
		errs = append(errs, podTerms(near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAffinity"))...)
	}
	if far := a.PodAntiAffinity; far != nil {
		errs = append(errs, podTerms(far.RequiredDuringSchedulingIgnoredDuringExecution, far.PreferredDuringSchedulingIgnoredDuringExecution, path.Child("podAntiAffinity"))...)
	}
	return errs
}

func weight(w int32, path *field.Path) field.ErrorList {
	if w <= 0 || w > 100 {
		return field.ErrorList{field.Invalid(path.Child("weight"), w, "must be in the range 1-100")}
	}
	return nil
}

// NodeSelector checks a node selector: of pods, volumes, storage capacities, device slices.
func NodeSelector(selector *corev1.NodeSelector, path *field.Path) field.ErrorList {
	at := path.Child("nodeSelectorTerms")
	if len(selector.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(at, "must have at least one node selector term")}
	}
	var errs field.ErrorList
	for i := range selector.NodeSelectorTerms {
		errs = append(errs, nodeSelectorTerm(&selector.NodeSelectorTerms[i], at.Index(i))...)
	}
	return errs
}

func nodeSelectorTerm(term *corev1.NodeSelectorTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range term.MatchExpressions {
		errs = append(errs, nodeRequirement(&term.MatchExpressions[i], path.Child("matchExpressions").Index(i))...)
	}
	for i := range term.MatchFields {
		errs = append(errs, nodeFieldRequirement(&term.MatchFields[i], path.Child("matchFields").Index(i))...)
	}
	return errs
}

func nodeRequirement(r *corev1.NodeSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	values := path.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	errs = append(errs, metav1validation.ValidateLabelName(r.Key, path.Child("key"))...)
	for i, value := range r.Values {
		errs = append(errs, invalidEach(values.Index(i), value, validation.IsValidLabelValue(value))...)
	}
	return errs
}

// nodeFieldRequirement: nodes can be selected by one field, their name.
func nodeFieldRequirement(r *corev1.NodeSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			errs = append(errs, field.Required(path.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	if r.Key != metav1.ObjectNameField {
		return append(errs, field.Invalid(path.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, name := range r.Values {
		errs = append(errs, invalidEach(path.Child("values").Index(i), name, apivalidation.NameIsDNSSubdomain(name, false))...)
	}
	return errs
}

func podTerms(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range required {
		errs = append(errs, podTerm(&required[i], path.Child(requiredTerms).Index(i))...)
	}
	for i := range preferred {
		at := path.Child(preferredTerms).Index(i)
		errs = append(errs, weight(preferred[i].Weight, at)...)
		errs = append(errs, podTerm(&preferred[i].PodAffinityTerm, at.Child("podAffinityTerm"))...)
	}
	return errs
}

func podTerm(term *corev1.PodAffinityTerm, path *field.Path) field.ErrorList {
	errs := LabelSelector(term.LabelSelector, path.Child("labelSelector"))
	errs = append(errs, LabelSelector(term.NamespaceSelector, path.Child("namespaceSelector"))...)
	for _, namespace := range term.Namespaces {
		errs = append(errs, invalidEach(path.Child("namespace"), namespace, apivalidation.NameIsDNSLabel(namespace, false))...)
	}
	errs = append(errs, matchLabelKeys(term.MatchLabelKeys, metav1.LabelSelectorOpIn, term.LabelSelector, path.Child("matchLabelKeys"))...)
	errs = append(errs, matchLabelKeys(term.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, term.LabelSelector, path.Child("mismatchLabelKeys"))...)
	for i, key := range term.MatchLabelKeys {
		if slices.Contains(term.MismatchLabelKeys, key) {
			errs = append(errs, field.Invalid(path.Child("matchLabelKeys").Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return append(errs, topologyKey(term.TopologyKey, path.Child("topologyKey"))...)
}

// LabelSelector checks a label selector; nil is one that selects nothing.
func LabelSelector(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
}

// keyGiven is all that upstream asks of the topology key of a spread constraint.
func keyGiven(key string, path *field.Path) field.ErrorList {
	if key == "" {
		return field.ErrorList{field.Required(path, "can not be empty")}
	}
	return nil
}

func topologyKey(key string, path *field.Path) field.ErrorList {
	return append(keyGiven(key, path), metav1validation.ValidateLabelName(key, path)...)
}

// matchLabelKeys checks keys that were turned into requirements when the pod was created: each may stand in the
// selector once more, as that requirement, but not for something else.
func matchLabelKeys(keys []string, op metav1.LabelSelectorOperator, selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if len(keys) == 0 {
		return nil
	}
	if selector == nil {
		return field.ErrorList{field.Forbidden(path, "must not be specified when labelSelector is not set")}
	}
	var errs field.ErrorList
	for i, key := range keys {
		errs = append(errs, metav1validation.ValidateLabelName(key, path.Index(i))...)
		merged := false
		_, taken := selector.MatchLabels[key]
		for _, r := range selector.MatchExpressions {
			if r.Key != key {
				continue
			}
			if !merged && r.Operator == op && len(r.Values) == 1 {
				merged = true
				continue
			}
			taken = true
		}
		if taken {
			errs = append(errs, field.Invalid(path.Index(i), key, "exists in both "+pathEnd(op)+" and labelSelector"))
		}
	}
	return errs
}

func pathEnd(op metav1.LabelSelectorOperator) string {
	if op == metav1.LabelSelectorOpNotIn {
		return "mismatchLabelKeys"
	}
	return "matchLabelKeys"
}

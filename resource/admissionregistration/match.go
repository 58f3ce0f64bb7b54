package admissionregistration

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defaultMatch: what is not narrowed matches everything.
func defaultMatch(match *admissionv1.MatchResources) {
	if match == nil {
		return
	}
	setIfNil(&match.MatchPolicy, admissionv1.Equivalent)
	setIfNil(&match.NamespaceSelector, metav1.LabelSelector{})
	setIfNil(&match.ObjectSelector, metav1.LabelSelector{})
	for i := range match.ResourceRules {
		setIfNil(&match.ResourceRules[i].Scope, admissionv1.AllScopes)
	}
	for i := range match.ExcludeResourceRules {
		setIfNil(&match.ExcludeResourceRules[i].Scope, admissionv1.AllScopes)
	}
}

func paramKind(kind *admissionv1.ParamKind) string {
	if kind == nil {
		return "<unset>"
	}
	return kind.APIVersion + "/" + kind.Kind
}

func paramRef(ref *admissionv1.ParamRef) string {
	switch {
	case ref == nil:
		return "<unset>"
	case ref.Name != "":
		if ref.Namespace != "" {
			return ref.Namespace + "/" + ref.Name
		}
		return "*/" + ref.Name
	case ref.Selector != nil:
		return metav1.FormatLabelSelector(ref.Selector)
	}
	return "<unset>"
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

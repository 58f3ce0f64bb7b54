package remote

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// Question is what a webhook is asked about a request.
func Question(info *request.Info, user resource.User) authorizationv1.SubjectAccessReviewSpec {
	spec := authorizationv1.SubjectAccessReviewSpec{User: user.Name, UID: user.UID, Groups: user.Groups}
	for key, values := range user.Extra {
		if spec.Extra == nil {
			spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		spec.Extra[key] = values
	}
	if !info.IsResource {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: info.Path, Verb: info.Verb}
		return spec
	}
	spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: info.Namespace, Verb: info.Verb, Group: info.Group, Version: info.Version,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name,
	}
	if requirements := onFields(info.FieldSelector); len(requirements) > 0 {
		spec.ResourceAttributes.FieldSelector = &authorizationv1.FieldSelectorAttributes{Requirements: requirements}
	}
	if requirements := onLabels(info.LabelSelector); len(requirements) > 0 {
		spec.ResourceAttributes.LabelSelector = &authorizationv1.LabelSelectorAttributes{Requirements: requirements}
	}
	return spec
}

// onFields reads a field selector. One that cannot be read is left out: selectors only narrow, so that asks for more.
func onFields(text string) []metav1.FieldSelectorRequirement {
	if text == "" {
		return nil
	}
	selector, err := fields.ParseSelector(text)
	if err != nil {
		return nil
	}
	var requirements []metav1.FieldSelectorRequirement
	for _, r := range selector.Requirements() {
		operator := metav1.FieldSelectorOpIn
		if r.Operator == selection.NotEquals {
			operator = metav1.FieldSelectorOpNotIn
		}
		requirements = append(requirements, metav1.FieldSelectorRequirement{Key: r.Field, Operator: operator, Values: []string{r.Value}})
	}
	return requirements
}

// labelOperators are the operators of selectors that a review can say.
var labelOperators = map[selection.Operator]metav1.LabelSelectorOperator{
	selection.Equals: metav1.LabelSelectorOpIn, selection.DoubleEquals: metav1.LabelSelectorOpIn, selection.In: metav1.LabelSelectorOpIn,
	selection.NotEquals: metav1.LabelSelectorOpNotIn, selection.NotIn: metav1.LabelSelectorOpNotIn,
	selection.Exists: metav1.LabelSelectorOpExists, selection.DoesNotExist: metav1.LabelSelectorOpDoesNotExist,
}

// onLabels reads a label selector, as onFields does.
func onLabels(text string) []metav1.LabelSelectorRequirement {
	if text == "" {
		return nil
	}
	selector, err := labels.Parse(text)
	if err != nil {
		return nil
	}
	all, _ := selector.Requirements()
	var requirements []metav1.LabelSelectorRequirement
	for _, r := range all {
		if operator, known := labelOperators[r.Operator()]; known {
			requirements = append(requirements, metav1.LabelSelectorRequirement{Key: r.Key(), Operator: operator, Values: r.ValuesUnsorted()})
		}
	}
	return requirements
}

// betaReview is a SubjectAccessReview of v1beta1, which calls the groups "group".
type betaReview struct {
	metav1.TypeMeta
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     betaSpec          `json:"spec"`
}

type betaSpec struct {
	ResourceAttributes    *authorizationv1.ResourceAttributes    `json:"resourceAttributes,omitempty"`
	NonResourceAttributes *authorizationv1.NonResourceAttributes `json:"nonResourceAttributes,omitempty"`
	User                  string                                 `json:"user,omitempty"`
	Groups                []string                               `json:"group,omitempty"`
	Extra                 map[string]authorizationv1.ExtraValue  `json:"extra,omitempty"`
	UID                   string                                 `json:"uid,omitempty"`
}

func beta(kind metav1.TypeMeta, spec authorizationv1.SubjectAccessReviewSpec) *betaReview {
	return &betaReview{TypeMeta: kind, Spec: betaSpec{
		ResourceAttributes: spec.ResourceAttributes, NonResourceAttributes: spec.NonResourceAttributes,
		User: spec.User, Groups: spec.Groups, Extra: spec.Extra, UID: spec.UID,
	}}
}

package crd

import (
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func wanted(short ...string) *apiextensionsv1.CustomResourceDefinitionNames {
	return &apiextensionsv1.CustomResourceDefinitionNames{
		Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList", ShortNames: short, Categories: []string{"all"},
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	none := &apiextensionsv1.CustomResourceDefinitionNames{}
	for name, test := range map[string]struct {
		wanted, had     *apiextensionsv1.CustomResourceDefinitionNames
		others          apiextensionsv1.CustomResourceDefinitionNames
		reason, message string
	}{
		"free":                 {wanted("w"), none, apiextensionsv1.CustomResourceDefinitionNames{}, "NoConflicts", "no conflicts found"},
		"own":                  {wanted("w"), wanted("w"), *wanted("w"), "NoConflicts", "no conflicts found"},
		"plural":               {wanted(), none, apiextensionsv1.CustomResourceDefinitionNames{ShortNames: []string{"widgets"}}, "PluralConflict", `"widgets" is already in use`},
		"singular":             {wanted(), none, apiextensionsv1.CustomResourceDefinitionNames{Plural: "widget"}, "SingularConflict", `"widget" is already in use`},
		"short":                {wanted("a", "b", "c"), none, apiextensionsv1.CustomResourceDefinitionNames{ShortNames: []string{"a", "c"}}, "ShortNamesConflict", `["a" is already in use, "c" is already in use]`},
		"kind":                 {wanted(), none, apiextensionsv1.CustomResourceDefinitionNames{Kind: "Widget"}, "KindConflict", `"Widget" is already in use`},
		"list is a kind":       {wanted(), none, apiextensionsv1.CustomResourceDefinitionNames{Kind: "WidgetList"}, "ListKindConflict", `"WidgetList" is already in use`},
		"a kind is no name":    {wanted(), none, apiextensionsv1.CustomResourceDefinitionNames{Kind: "widgets"}, "NoConflicts", "no conflicts found"},
		"one short of its own": {wanted("a"), wanted("a"), apiextensionsv1.CustomResourceDefinitionNames{ShortNames: []string{"a"}}, "NoConflicts", "no conflicts found"},
	} {
		used := newNames()
		used.add(&test.others)
		got, condition := accept(test.wanted, test.had, used)
		if condition.Reason != test.reason || condition.Message != test.message {
			t.Errorf("%s: %+v", name, condition)
		}
		if test.reason == "NoConflicts" && !sameNames(&got, test.wanted) {
			t.Errorf("%s: got %+v", name, got)
		}
		if test.reason == "KindConflict" && (got.Kind != "" || got.Plural != "widgets") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func crdOf(group string, annotations map[string]string) *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name, crd.Annotations = "widgets."+group, annotations
	crd.Spec.Group, crd.Spec.Names = group, *wanted()
	return crd
}

func TestConditions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	decided := decide(crdOf("example.com", nil), newNames(), now)
	if !isTrue(decided, apiextensionsv1.NamesAccepted) || !isTrue(decided, apiextensionsv1.Established) || len(decided.Status.Conditions) != 2 {
		t.Errorf("a new definition: %+v", decided.Status)
	}
	if at := decided.Status.Conditions[0].LastTransitionTime; !at.Equal(&metav1.Time{Time: now.Truncate(time.Second)}) {
		t.Errorf("time of the condition: %v", at)
	}
	if again := decide(decided, newNames(), now.Add(time.Hour)); again != decided {
		t.Errorf("deciding again changes %+v", again.Status)
	}
	for said, want := range map[string][2]string{
		"":                       {"MissingAnnotation", `protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111`},
		"unapproved, for a test": {"UnapprovedAnnotation", `not approved: "unapproved, for a test"`},
		"https://example.com/1":  {"ApprovedAnnotation", "approved in https://example.com/1"},
		"yes":                    {"InvalidAnnotation", `protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111`},
	} {
		c := condition(decide(crdOf("x.k8s.io", map[string]string{"api-approved.kubernetes.io": said}), newNames(), now), apiextensionsv1.KubernetesAPIApprovalPolicyConformant)
		if c == nil || c.Reason != want[0] || c.Message != want[1] {
			t.Errorf("%q: %+v", said, c)
		}
	}
	old := crdOf("example.com", nil)
	old.Spec.PreserveUnknownFields = true
	old.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Schema: &apiextensionsv1.CustomResourceValidation{
		OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Properties: map[string]apiextensionsv1.JSONSchemaProps{"a": {}}},
	}}}
	if c := condition(decide(old, newNames(), now), apiextensionsv1.NonStructuralSchema); c == nil || c.Status != apiextensionsv1.ConditionTrue || c.Reason != "Violations" {
		t.Errorf("a schema without structure: %+v", c)
	}
	bad := crdOf("example.com", nil)
	bad.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Webhook: &apiextensionsv1.WebhookConversion{ClientConfig: &apiextensionsv1.WebhookClientConfig{CABundle: []byte("no")}}}
	if c := condition(decide(bad, newNames(), now), apiextensionsv1.Established); c.Reason != "InvalidCABundle" {
		t.Errorf("a bundle that cannot be read: %+v", c)
	}
}

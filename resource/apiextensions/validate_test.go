package apiextensions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		path, rest, _ := strings.Cut(err.Error(), ": Invalid value: [{")
		if _, detail, ok := strings.Cut(rest, "}]: "); ok {
			path += ": " + detail // all versions, which are shown, are not the point
		}
		got = append(got, path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func widgets() *apiextensionsv1.CustomResourceDefinition {
	crd := &apiextensionsv1.CustomResourceDefinition{Spec: apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
				Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"spec": {Type: "object"}},
			}},
		}},
	}}
	crd.Name = "widgets.example.com"
	apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(crd)
	noteStoredVersion(crd)
	return crd
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		want   []string
	}{
		"good": {func(*apiextensionsv1.CustomResourceDefinition) {}, nil},
		"names": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Group, c.Spec.Scope = "example", "Planet"
			c.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "Widget"}
		}, []string{
			`metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group`,
			`spec.group: Invalid value: "example": should be a domain with at least one dot`,
			`spec.scope: Unsupported value: "Planet": supported values: "Cluster", "Namespaced"`,
			`spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same`,
		}},
		"versions": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions = append(c.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: "v1", Storage: true})
		}, []string{
			"spec.versions[1].schema.openAPIV3Schema: Required value: schemas are required",
			"spec.versions: must contain unique version names",
			"spec.versions: must have exactly one version marked as storage version",
		}},
		"schema": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = apiextensionsv1.JSONSchemaProps{UniqueItems: true}
		}, []string{
			"spec.validation.openAPIV3Schema.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
			"spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields",
		}},
		"conversion": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: "Webhook"}
			c.Spec.Versions[0].Subresources = &apiextensionsv1.CustomResourceSubresources{Scale: &apiextensionsv1.CustomResourceSubresourceScale{SpecReplicasPath: "replicas"}}
		}, []string{
			`spec.subresources.scale.specReplicasPath: Invalid value: "replicas": must be a simple json path starting with .`,
			"spec.subresources.scale.statusReplicasPath: Required value",
			"spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
			"spec.conversion.conversionReviewVersions: Required value",
		}},
		"protected": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Name, c.Spec.Group = "widgets.x.k8s.io", "x.k8s.io"
		}, []string{
			`metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crd := widgets()
			test.change(crd)
			expect(t, validateDefinition(nil, crd), test.want...)
		})
	}
}

func TestStoredObjectsStayReadable(t *testing.T) {
	t.Parallel()
	old, now := widgets(), widgets()
	old.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
	expect(t, validateDefinitionUpdate(nil, now, old))
	now.Spec.Versions[0].Name, now.Spec.Scope = "v2", apiextensionsv1.ClusterScoped
	noteStoredVersion(now)
	expect(t, validateDefinitionUpdate(nil, now, old),
		`spec.scope: Invalid value: "Cluster": field is immutable`,
		`status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions`)
}

package resourceapi

import (
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/resource"
)

// ResourceClaimTemplates is all that the server knows about ResourceClaimTemplates.
func ResourceClaimTemplates() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.ResourceClaimTemplate]{
		Group: "resource.k8s.io", Version: "v1", Kind: "ResourceClaimTemplate", Plural: "resourceclaimtemplates",
		Scope:    resource.Namespaced,
		Validate: validateTemplate, ValidateUpdate: validateTemplateUpdate,
		Default: func(t *resourcev1.ResourceClaimTemplate) { defaultClaim(&t.Spec.Spec) },
	})
}

package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// Endpoints is all that the server knows about Endpoints.
func Endpoints() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Endpoints]{
		Version: "v1", Kind: "Endpoints", Plural: "endpoints",
		Short: []string{"ep"}, Scope: resource.Namespaced,
		StorageKey:     "services/endpoints",
		CreateOnUpdate: true,
		Default:        defaultEndpoints,
		Columns:        endpointsColumns(),
		Validate:       validateEndpoints, ValidateUpdate: validateEndpointsUpdate,
	})
}

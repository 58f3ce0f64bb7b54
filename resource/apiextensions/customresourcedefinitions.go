package apiextensions

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/septet-io/septet/resource"
)

// CustomResourceDefinitions is all that the server knows about CustomResourceDefinitions.
func CustomResourceDefinitions() *resource.Kind {
	return resource.Define(resource.Definition[*apiextensionsv1.CustomResourceDefinition]{
		Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition", Plural: "customresourcedefinitions",
		Short: []string{"crd", "crds"}, Categories: []string{"api-extensions"}, Scope: resource.Cluster,
		StorageKey: "apiextensions.k8s.io/customresourcedefinitions",
		Generation: true, RequireVersion: true,
		Views: []resource.View[*apiextensionsv1.CustomResourceDefinition]{{Name: "status"}},
	})
}

package apiextensions

import (
	"slices"

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
		Default:       apiextensionsv1.SetObjectDefaults_CustomResourceDefinition,
		PrepareCreate: func(_ *resource.Request, crd *apiextensionsv1.CustomResourceDefinition) { noteStoredVersion(crd) },
		PrepareUpdate: func(_ *resource.Request, crd, _ *apiextensionsv1.CustomResourceDefinition) { noteStoredVersion(crd) },
		Validate:      validateDefinition, ValidateUpdate: validateDefinitionUpdate,
		Views: []resource.View[*apiextensionsv1.CustomResourceDefinition]{{Name: "status", Prepare: keepSpec, Validate: validateDefinitionStatus}},
		Columns: []resource.Column[*apiextensionsv1.CustomResourceDefinition]{
			resource.Name[*apiextensionsv1.CustomResourceDefinition](), resource.CreatedAt[*apiextensionsv1.CustomResourceDefinition](),
		},
	})
}

// keepSpec is all that writes to the status leave alone: as upstream, they may change labels, finalizers and the like.
func keepSpec(_ *resource.Request, crd, old *apiextensionsv1.CustomResourceDefinition) {
	crd.Spec = old.Spec
}

// noteStoredVersion remembers every version in which objects may lie in etcd: one can leave only when it is said
// that no object is left in it.
func noteStoredVersion(crd *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range crd.Spec.Versions {
		if v.Storage && !slices.Contains(crd.Status.StoredVersions, v.Name) {
			// The list may be shared with the object before the update.
			crd.Status.StoredVersions = append(slices.Clip(crd.Status.StoredVersions), v.Name)
		}
	}
}

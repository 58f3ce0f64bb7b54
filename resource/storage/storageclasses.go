package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// StorageClasses is all that the server knows about StorageClasses.
func StorageClasses() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.StorageClass]{
		Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass", Plural: "storageclasses",
		Short: []string{"sc"}, Scope: resource.Cluster,
	})
}

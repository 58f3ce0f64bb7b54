package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// CSIStorageCapacities is all that the server knows about CSIStorageCapacities.
func CSIStorageCapacities() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.CSIStorageCapacity]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSIStorageCapacity", Plural: "csistoragecapacities",
		Scope:          resource.Namespaced,
		RequireVersion: true,
	})
}

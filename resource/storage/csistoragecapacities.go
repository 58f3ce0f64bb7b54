package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// CSIStorageCapacities is all that the server knows about CSIStorageCapacities.
func CSIStorageCapacities() *resource.Kind {
	doc := storagev1.CSIStorageCapacity{}.SwaggerDoc()
	return resource.Define(resource.Definition[*storagev1.CSIStorageCapacity]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSIStorageCapacity", Plural: "csistoragecapacities",
		Scope:    resource.Namespaced,
		Validate: validateCapacity, ValidateUpdate: validateCapacityUpdate,
		RequireVersion: true,
		Columns: []resource.Column[*storagev1.CSIStorageCapacity]{
			resource.Name[*storagev1.CSIStorageCapacity](),
			resource.Text("StorageClassName", doc["storageClassName"], func(c *storagev1.CSIStorageCapacity) string { return c.StorageClassName }),
			resource.Text("Capacity", doc["capacity"], func(c *storagev1.CSIStorageCapacity) string {
				if c.Capacity == nil {
					return "<unset>"
				}
				return c.Capacity.String()
			}),
		},
	})
}

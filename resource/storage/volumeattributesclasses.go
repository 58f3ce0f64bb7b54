package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// VolumeAttributesClasses is all that the server knows about VolumeAttributesClasses.
func VolumeAttributesClasses() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.VolumeAttributesClass]{
		Group: "storage.k8s.io", Version: "v1", Kind: "VolumeAttributesClass", Plural: "volumeattributesclasses",
		Short: []string{"vac"}, Scope: resource.Cluster,
		Validate: validateAttributesClass, ValidateUpdate: validateAttributesClassUpdate,
		Columns: []resource.Column[*storagev1.VolumeAttributesClass]{
			resource.Name[*storagev1.VolumeAttributesClass](),
			resource.Text("DriverName", storagev1.VolumeAttributesClass{}.SwaggerDoc()["driverName"],
				func(c *storagev1.VolumeAttributesClass) string { return c.DriverName }),
			resource.Age[*storagev1.VolumeAttributesClass](),
		},
	})
}

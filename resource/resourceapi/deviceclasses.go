package resourceapi

import (
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/resource"
)

// DeviceClasses is all that the server knows about DeviceClasses.
func DeviceClasses() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.DeviceClass]{
		Group: "resource.k8s.io", Version: "v1", Kind: "DeviceClass", Plural: "deviceclasses",
		Scope:    resource.Cluster,
		Validate: validateClass, ValidateUpdate: validateClassUpdate,
		Generation: true,
	})
}

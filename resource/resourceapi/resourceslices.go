package resourceapi

import (
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/septet-io/septet/resource"
)

// ResourceSlices is all that the server knows about ResourceSlices.
func ResourceSlices() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.ResourceSlice]{
		Group: "resource.k8s.io", Version: "v1", Kind: "ResourceSlice", Plural: "resourceslices",
		Scope:      resource.Cluster,
		Generation: true,
	})
}

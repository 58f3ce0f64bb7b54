package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// CSINodes is all that the server knows about CSINodes.
func CSINodes() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.CSINode]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSINode", Plural: "csinodes",
		Scope:          resource.Cluster,
		RequireVersion: true,
	})
}

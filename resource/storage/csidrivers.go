package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// CSIDrivers is all that the server knows about CSIDrivers.
func CSIDrivers() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.CSIDriver]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSIDriver", Plural: "csidrivers",
		Scope:      resource.Cluster,
		Generation: true, RequireVersion: true,
	})
}

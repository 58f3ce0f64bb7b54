package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// CSINodes is all that the server knows about CSINodes.
func CSINodes() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.CSINode]{
		Group: "storage.k8s.io", Version: "v1", Kind: "CSINode", Plural: "csinodes",
		Scope:    resource.Cluster,
		Validate: validateCSINode, ValidateUpdate: validateCSINodeUpdate,
		RequireVersion: true,
		Columns: []resource.Column[*storagev1.CSINode]{
			resource.Name[*storagev1.CSINode](),
			resource.Number("Drivers", "Drivers indicates the number of CSI drivers registered on the node",
				func(n *storagev1.CSINode) int64 { return int64(len(n.Spec.Drivers)) }),
			resource.Age[*storagev1.CSINode](),
		},
	})
}

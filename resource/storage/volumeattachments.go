package storage

import (
	storagev1 "k8s.io/api/storage/v1"

	"github.com/septet-io/septet/resource"
)

// VolumeAttachments is all that the server knows about VolumeAttachments.
func VolumeAttachments() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.VolumeAttachment]{
		Group: "storage.k8s.io", Version: "v1", Kind: "VolumeAttachment", Plural: "volumeattachments",
		Scope:          resource.Cluster,
		RequireVersion: true,
		Views:          []resource.View[*storagev1.VolumeAttachment]{{Name: "status"}},
	})
}

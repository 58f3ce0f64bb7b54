package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// VolumeAttachments is all that the server knows about VolumeAttachments.
func VolumeAttachments() *resource.Kind {
	doc := storagev1.VolumeAttachmentSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*storagev1.VolumeAttachment]{
		Group: "storage.k8s.io", Version: "v1", Kind: "VolumeAttachment", Plural: "volumeattachments",
		Scope:    resource.Cluster,
		Validate: validateAttachment, ValidateUpdate: validateAttachmentUpdate,
		RequireVersion: true,
		Views:          []resource.View[*storagev1.VolumeAttachment]{{Name: "status", Prepare: prepareAttachmentStatus, Validate: validateAttachmentStatus}},
		Columns: []resource.Column[*storagev1.VolumeAttachment]{
			resource.Name[*storagev1.VolumeAttachment](),
			resource.Text("Attacher", doc["attacher"], func(a *storagev1.VolumeAttachment) string { return a.Spec.Attacher }),
			resource.Text("PV", storagev1.VolumeAttachmentSource{}.SwaggerDoc()["persistentVolumeName"], func(a *storagev1.VolumeAttachment) string {
				return ptr.Deref(a.Spec.Source.PersistentVolumeName, "")
			}),
			resource.Text("Node", doc["nodeName"], func(a *storagev1.VolumeAttachment) string { return a.Spec.NodeName }),
			resource.Truth("Attached", storagev1.VolumeAttachmentStatus{}.SwaggerDoc()["attached"],
				func(a *storagev1.VolumeAttachment) bool { return a.Status.Attached }),
			resource.Age[*storagev1.VolumeAttachment](),
		},
	})
}

// prepareAttachmentStatus keeps all of the metadata that somebody else may own: attachers write only what they attached.
func prepareAttachmentStatus(_ *resource.Request, obj, old *storagev1.VolumeAttachment) {
	resource.KeepAllButStatus(obj, old)
	obj.Annotations = old.Annotations
}

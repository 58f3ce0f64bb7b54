package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Limits of what an attacher may note, in bytes.
const (
	maxAttachmentMetadata = 256 << 10
	maxVolumeError        = 1 << 20
)

func validateAttachment(_ *resource.Request, a *storagev1.VolumeAttachment) field.ErrorList {
	spec := &a.Spec
	errs := core.CSIDriverName(spec.Attacher, specPath.Child("attacher"))
	errs = append(errs, attachmentSource(&spec.Source, specPath.Child("source"))...)
	errs = append(errs, core.InvalidEach(specPath.Child("nodeName"), spec.NodeName, apivalidation.NameIsDNSSubdomain(spec.NodeName, false))...)
	errs = append(errs, attachmentStatus(&a.Status)...)
	if name := spec.Source.PersistentVolumeName; name != nil {
		errs = append(errs, core.InvalidEach(specPath.Child("source", "persistentVolumeName"), *name, apivalidation.NameIsDNSSubdomain(*name, false))...)
	}
	return errs
}

func attachmentSource(source *storagev1.VolumeAttachmentSource, at *field.Path) field.ErrorList {
	const one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
	name, inline := source.PersistentVolumeName, source.InlineVolumeSpec
	switch {
	case name == nil && inline == nil:
		return field.ErrorList{field.Required(at, one)}
	case name != nil && inline != nil:
		return field.ErrorList{field.Forbidden(at, one)}
	case inline != nil:
		return core.ValidateVolumeSpec(inline, true, at.Child("inlineVolumeSpec"))
	case *name == "":
		return field.ErrorList{field.Required(at.Child("persistentVolumeName"), "must specify non empty persistentVolumeName")}
	}
	return nil
}

func attachmentStatus(status *storagev1.VolumeAttachmentStatus) field.ErrorList {
	path := field.NewPath("status")
	size := 0
	for key, value := range status.AttachmentMetadata {
		size += len(key) + len(value)
	}
	var errs field.ErrorList
	if size > maxAttachmentMetadata {
		errs = append(errs, field.TooLong(path.Child("attachmentMetadata"), "", maxAttachmentMetadata))
	}
	errs = append(errs, volumeError(status.AttachError, path.Child("attachError"))...)
	return append(errs, volumeError(status.DetachError, path.Child("detachError"))...)
}

func volumeError(e *storagev1.VolumeError, at *field.Path) field.ErrorList {
	if e == nil || len(e.Message) <= maxVolumeError {
		return nil
	}
	return field.ErrorList{field.TooLong(at.Child("message"), "", maxVolumeError)}
}

func validateAttachmentUpdate(r *resource.Request, a, old *storagev1.VolumeAttachment) field.ErrorList {
	errs := validateAttachment(r, a)
	if !apiequality.Semantic.DeepEqual(a.Spec, old.Spec) {
		errs = append(errs, field.Invalid(specPath, a.Spec, "field is immutable"))
	}
	return errs
}

func validateAttachmentStatus(_ *resource.Request, a, _ *storagev1.VolumeAttachment) field.ErrorList {
	return attachmentStatus(&a.Status)
}

package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func checkAzureFile(v *corev1.AzureFileVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.SecretName, at.Child("secretName")), given(v.ShareName, at.Child("shareName"))...)
}

func checkAzureFileOfPV(v *corev1.AzureFilePersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.SecretName, at.Child("secretName")), given(v.ShareName, at.Child("shareName"))...)
	if v.SecretNamespace != nil && *v.SecretNamespace == "" {
		errs = append(errs, field.Required(at.Child("secretNamespace"), ""))
	}
	return errs
}

func checkAzureDisk(v *corev1.AzureDiskVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.DiskName, at.Child("diskName")), given(v.DataDiskURI, at.Child("diskURI"))...)
	errs = append(errs, oneOfIfSet(v.CachingMode, at.Child("cachingMode"),
		corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	errs = append(errs, oneOfIfSet(v.Kind, at.Child("kind"),
		corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)...)
	managed := v.Kind != nil && *v.Kind == corev1.AzureManagedDisk
	if managed && !strings.HasPrefix(v.DataDiskURI, "/subscriptions/") {
		errs = append(errs, field.NotSupported(at.Child("diskURI"), v.DataDiskURI,
			[]string{"/subscriptions/{sub-id}/resourceGroups/{group-name}/providers/Microsoft.Compute/disks/{disk-id}"}))
	}
	if !managed && v.DataDiskURI != "" && !strings.HasPrefix(v.DataDiskURI, "https://") {
		errs = append(errs, field.NotSupported(at.Child("diskURI"), v.DataDiskURI,
			[]string{"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"}))
	}
	return errs
}

// maxDriverName is how long a CSI driver's name may be.
const maxDriverName = 63

// CSIDriverName checks the name of a CSI driver: a DNS subdomain in which upper case is allowed.
func CSIDriverName(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return given(name, at)
	}
	var errs field.ErrorList
	if len(name) > maxDriverName {
		errs = append(errs, field.TooLong(at, "", maxDriverName))
	}
	return append(errs, invalidEach(at, name, validation.IsDNS1123Subdomain(strings.ToLower(name)))...)
}

package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

func persistentVolumeColumns() []resource.Column[*corev1.PersistentVolume] {
	doc := corev1.PersistentVolumeSpec{}.SwaggerDoc()
	return []resource.Column[*corev1.PersistentVolume]{
		resource.Name[*corev1.PersistentVolume](),
		resource.Text("Capacity", doc["capacity"], func(v *corev1.PersistentVolume) string { return v.Spec.Capacity.Storage().String() }),
		resource.Text("Access Modes", doc["accessModes"], func(v *corev1.PersistentVolume) string { return accessModes(v.Spec.AccessModes) }),
		resource.Text("Reclaim Policy", doc["persistentVolumeReclaimPolicy"],
			func(v *corev1.PersistentVolume) string { return string(v.Spec.PersistentVolumeReclaimPolicy) }),
		resource.Text("Status", corev1.PersistentVolumeStatus{}.SwaggerDoc()["phase"], func(v *corev1.PersistentVolume) string {
			if v.DeletionTimestamp != nil {
				return "Terminating"
			}
			return string(v.Status.Phase)
		}),
		resource.Text("Claim", doc["claimRef"], func(v *corev1.PersistentVolume) string {
			if v.Spec.ClaimRef == nil {
				return ""
			}
			return v.Spec.ClaimRef.Namespace + "/" + v.Spec.ClaimRef.Name
		}),
		resource.Text("StorageClass", "StorageClass of the pv", func(v *corev1.PersistentVolume) string {
			return classOrAnnotation(v.Annotations, &v.Spec.StorageClassName)
		}),
		resource.Text("VolumeAttributesClass", "VolumeAttributesClass of the pv", func(v *corev1.PersistentVolume) string {
			return orUnset(v.Spec.VolumeAttributesClassName)
		}),
		resource.Text("Reason", corev1.PersistentVolumeStatus{}.SwaggerDoc()["reason"], func(v *corev1.PersistentVolume) string { return v.Status.Reason }),
		resource.Age[*corev1.PersistentVolume](),
		resource.Wide("VolumeMode", doc["volumeMode"], func(v *corev1.PersistentVolume) string { return orUnset(v.Spec.VolumeMode) }),
	}
}

func claimColumns() []resource.Column[*corev1.PersistentVolumeClaim] {
	doc := corev1.PersistentVolumeClaimSpec{}.SwaggerDoc()
	return []resource.Column[*corev1.PersistentVolumeClaim]{
		resource.Name[*corev1.PersistentVolumeClaim](),
		resource.Text("Status", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["phase"], func(c *corev1.PersistentVolumeClaim) string {
			if c.DeletionTimestamp != nil {
				return "Terminating"
			}
			return string(c.Status.Phase)
		}),
		resource.Text("Volume", doc["volumeName"], func(c *corev1.PersistentVolumeClaim) string { return c.Spec.VolumeName }),
		resource.Text("Capacity", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["capacity"], func(c *corev1.PersistentVolumeClaim) string {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return c.Status.Capacity.Storage().String()
		}),
		resource.Text("Access Modes", corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()["accessModes"], func(c *corev1.PersistentVolumeClaim) string {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return accessModes(c.Status.AccessModes)
		}),
		resource.Text("StorageClass", "StorageClass of the pvc", func(c *corev1.PersistentVolumeClaim) string {
			return classOrAnnotation(c.Annotations, c.Spec.StorageClassName)
		}),
		resource.Text("VolumeAttributesClass", "VolumeAttributesClass of the pvc", func(c *corev1.PersistentVolumeClaim) string {
			return orUnset(c.Spec.VolumeAttributesClassName)
		}),
		resource.Age[*corev1.PersistentVolumeClaim](),
		resource.Wide("VolumeMode", doc["volumeMode"], func(c *corev1.PersistentVolumeClaim) string { return orUnset(c.Spec.VolumeMode) }),
	}
}

// shortModes are in the order in which they are shown.
var shortModes = []struct {
	mode  corev1.PersistentVolumeAccessMode
	short string
}{
	{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
}

func accessModes(modes []corev1.PersistentVolumeAccessMode) string {
	var list []string
	for _, m := range shortModes {
		if slices.Contains(modes, m.mode) {
			list = append(list, m.short)
		}
	}
	return strings.Join(list, ",")
}

// classOrAnnotation is the storage class: the annotation of old wins over the field.
func classOrAnnotation(annotations map[string]string, class *string) string {
	if name, ok := annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if class == nil {
		return ""
	}
	return *class
}

func orUnset[S ~string](s *S) string {
	if s == nil {
		return "<unset>"
	}
	return string(*s)
}

package storage

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// DefaultClassAnnotation marks the class of claims that name none; the beta one is still read.
const (
	DefaultClassAnnotation     = "storageclass.kubernetes.io/is-default-class"
	betaDefaultClassAnnotation = "storageclass.beta.kubernetes.io/is-default-class"
)

// StorageClasses is all that the server knows about StorageClasses.
func StorageClasses() *resource.Kind {
	return resource.Define(resource.Definition[*storagev1.StorageClass]{
		Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass", Plural: "storageclasses",
		Short: []string{"sc"}, Scope: resource.Cluster,
		Validate: validateStorageClass, ValidateUpdate: validateStorageClassUpdate,
		Default: defaultStorageClass,
		Columns: storageClassColumns(),
	})
}

func defaultStorageClass(class *storagev1.StorageClass) {
	setIfNil(&class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	setIfNil(&class.VolumeBindingMode, storagev1.VolumeBindingImmediate)
}

func storageClassColumns() []resource.Column[*storagev1.StorageClass] {
	doc := storagev1.StorageClass{}.SwaggerDoc()
	name := resource.Name[*storagev1.StorageClass]()
	name.Value = func(class *storagev1.StorageClass) any {
		if class.Annotations[DefaultClassAnnotation] == "true" || class.Annotations[betaDefaultClassAnnotation] == "true" {
			return class.Name + " (default)"
		}
		return class.Name
	}
	return []resource.Column[*storagev1.StorageClass]{
		name,
		resource.Text("Provisioner", doc["provisioner"], func(c *storagev1.StorageClass) string { return c.Provisioner }),
		resource.Text("ReclaimPolicy", doc["reclaimPolicy"], func(c *storagev1.StorageClass) string {
			return string(ptr.Deref(c.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete))
		}),
		resource.Text("VolumeBindingMode", doc["volumeBindingMode"], func(c *storagev1.StorageClass) string {
			return string(ptr.Deref(c.VolumeBindingMode, storagev1.VolumeBindingImmediate))
		}),
		{Name: "AllowVolumeExpansion", Description: doc["allowVolumeExpansion"], Value: func(c *storagev1.StorageClass) any {
			return ptr.Deref(c.AllowVolumeExpansion, false) // a truth, called a string
		}},
		resource.Age[*storagev1.StorageClass](),
	}
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

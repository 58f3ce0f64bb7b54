package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// ConfigMaps is all that the server knows about ConfigMaps.
func ConfigMaps() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.ConfigMap]{
		Version: "v1", Kind: "ConfigMap", Plural: "configmaps",
		Short: []string{"cm"}, Scope: resource.Namespaced,
		Columns: []resource.Column[*corev1.ConfigMap]{
			resource.Name[*corev1.ConfigMap](),
			{Name: "Data", Description: corev1.ConfigMap{}.SwaggerDoc()["data"], Value: func(c *corev1.ConfigMap) any { return int64(len(c.Data) + len(c.BinaryData)) }}, // a number, called a string
			resource.Age[*corev1.ConfigMap](),
		},
		Validate: validateConfigMap, ValidateUpdate: validateConfigMapUpdate,
	})
}

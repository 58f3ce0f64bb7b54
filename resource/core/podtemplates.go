package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// PodTemplates is all that the server knows about PodTemplates.
func PodTemplates() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.PodTemplate]{
		Version: "v1", Kind: "PodTemplate", Plural: "podtemplates",
		Scope: resource.Namespaced, Generation: true,
		Default:  defaultPodTemplate,
		Columns:  podTemplateColumns(),
		Validate: validatePodTemplate, ValidateUpdate: validatePodTemplateUpdate, Warn: warnPodTemplate,
	})
}

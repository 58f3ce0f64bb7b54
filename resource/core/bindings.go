package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// Bindings is all that the server knows about Bindings.
func Bindings() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Binding]{
		Version: "v1", Kind: "Binding", Plural: "bindings",
		Scope:    resource.Namespaced,
		Verbs:    []string{"create"},
		Validate: validateBinding,
	})
}

package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// LimitRanges is all that the server knows about LimitRanges.
func LimitRanges() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.LimitRange]{
		Version: "v1", Kind: "LimitRange", Plural: "limitranges",
		Short: []string{"limits"}, Scope: resource.Namespaced,
		CreateOnUpdate: true,
		Default:        defaultLimitRange,
		Columns:        []resource.Column[*corev1.LimitRange]{resource.Name[*corev1.LimitRange](), resource.CreatedAt[*corev1.LimitRange]()},
		Validate:       validateLimitRange, ValidateUpdate: validateLimitRangeUpdate,
	})
}

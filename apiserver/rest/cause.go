package rest

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// patchCause is the field error for a patch whose values do not fit.
func patchCause(content map[string]any, err error) field.ErrorList {
	return field.ErrorList{field.Invalid(field.NewPath("patch"), fmt.Sprintf("%+v", content), err.Error())}
}

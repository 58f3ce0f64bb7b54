package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// Secrets is all that the server knows about Secrets.
func Secrets() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Secret]{
		Version: "v1", Kind: "Secret", Plural: "secrets",
		Scope:   resource.Namespaced,
		Default: mergeStringData,
		Fields: []resource.Field[*corev1.Secret]{
			{Name: "type", Value: func(s *corev1.Secret) string { return string(s.Type) }},
		},
		Columns: []resource.Column[*corev1.Secret]{
			resource.Name[*corev1.Secret](),
			resource.Text("Type", corev1.Secret{}.SwaggerDoc()["type"], func(s *corev1.Secret) string { return string(s.Type) }),
			{Name: "Data", Description: corev1.Secret{}.SwaggerDoc()["data"], Value: func(s *corev1.Secret) any { return int64(len(s.Data)) }}, // a number, called a string
			resource.Age[*corev1.Secret](),
		},
		Validate: validateSecret, ValidateUpdate: validateSecretUpdate, Warn: warnSecret,
	})
}

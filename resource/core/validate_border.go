package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Small checks that other groups make as well.

// InvalidEach makes an error of each message.
func InvalidEach[T any](path *field.Path, value T, messages []string) field.ErrorList {
	return invalidEach(path, value, messages)
}

// OneOfIfSet is OneOf for a field that may be left out.
func OneOfIfSet[S ~string](value *S, path *field.Path, allowed ...S) field.ErrorList {
	return oneOfIfSet(value, path, allowed...)
}

// ContainerResource checks the name of a resource of containers.
func ContainerResource(name corev1.ResourceName, path *field.Path) field.ErrorList {
	return containerResourceName(name, path)
}

// LegacyIP checks an address in a field that is older than the strict rules for addresses.
func LegacyIP(ip string, path *field.Path) field.ErrorList { return legacyIP(ip, path) }

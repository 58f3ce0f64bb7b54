package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

var standardFinalizers = []string{string(corev1.FinalizerKubernetes), metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents}

func validateNamespace(_ *resource.Request, namespace *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	path := specPath.Child("finalizers")
	for _, finalizer := range namespace.Spec.Finalizers {
		name := string(finalizer)
		errs = append(errs, QualifiedName(name, path)...)
		if !strings.Contains(name, "/") && !slices.Contains(standardFinalizers, name) {
			errs = append(errs, field.Invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

func validateNamespaceFinalize(r *resource.Request, namespace, _ *corev1.Namespace) field.ErrorList {
	return validateNamespace(r, namespace)
}

func validateNamespaceStatus(_ *resource.Request, namespace, _ *corev1.Namespace) field.ErrorList {
	path, phase := statusPath.Child("Phase"), namespace.Status.Phase
	if namespace.DeletionTimestamp.IsZero() {
		if phase != corev1.NamespaceActive {
			return field.ErrorList{field.Invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty")}
		}
	} else if phase != corev1.NamespaceTerminating {
		return field.ErrorList{field.Invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}

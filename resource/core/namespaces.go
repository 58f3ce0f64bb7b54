package core

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"

	"github.com/septet-io/septet/resource"
)

// Namespaces is all that the server knows about Namespaces.
func Namespaces() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Namespace]{
		Version: "v1", Kind: "Namespace", Plural: "namespaces",
		Short: []string{"ns"}, Scope: resource.Cluster,
		Verbs:   []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		Views:   []resource.View[*corev1.Namespace]{{Name: "finalize", Verbs: []string{"update"}, Prepare: prepareNamespaceFinalize, Validate: validateNamespaceFinalize}, {Name: "status", Prepare: prepareNamespaceStatus, Validate: validateNamespaceStatus}},
		Default: defaultNamespace, ValidateName: apivalidation.NameIsDNSLabel,
		PrepareCreate: prepareNamespace, PrepareUpdate: prepareNamespaceUpdate,
		Fields: []resource.Field[*corev1.Namespace]{
			{Name: "status.phase", Value: func(n *corev1.Namespace) string { return string(n.Status.Phase) }},
		},
		Columns: []resource.Column[*corev1.Namespace]{
			resource.Name[*corev1.Namespace](),
			resource.Text("Status", "The status of the namespace", func(n *corev1.Namespace) string { return string(n.Status.Phase) }),
			resource.Age[*corev1.Namespace](),
		},
		Validate: validateNamespace,
	})
}

// prepareNamespace adds the finalizer that holds a namespace until its contents are gone.
func prepareNamespace(_ *resource.Request, namespace *corev1.Namespace) {
	namespace.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	labelNamespace(namespace)
	if !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

// prepareNamespaceUpdate: finalizers change through the finalize subresource only.
func prepareNamespaceUpdate(_ *resource.Request, namespace, old *corev1.Namespace) {
	namespace.Spec.Finalizers = old.Spec.Finalizers
	namespace.Status = old.Status
}

func prepareNamespaceFinalize(_ *resource.Request, namespace, old *corev1.Namespace) {
	namespace.Status = old.Status
}

func prepareNamespaceStatus(_ *resource.Request, namespace, old *corev1.Namespace) {
	namespace.Spec = old.Spec
}

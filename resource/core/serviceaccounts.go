package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// ServiceAccounts is all that the server knows about ServiceAccounts.
func ServiceAccounts() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.ServiceAccount]{
		Version: "v1", Kind: "ServiceAccount", Plural: "serviceaccounts",
		Short: []string{"sa"}, Scope: resource.Namespaced,
		Connectors: []resource.Connector{
			{Name: "token", Kind: schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"}, Verbs: []string{"create"}},
		},
		Columns: []resource.Column[*corev1.ServiceAccount]{
			resource.Name[*corev1.ServiceAccount](),
			resource.Age[*corev1.ServiceAccount](),
		},
		PrepareCreate: func(_ *resource.Request, a *corev1.ServiceAccount) { bareSecrets(a) },
		PrepareUpdate: func(_ *resource.Request, a, _ *corev1.ServiceAccount) { bareSecrets(a) },
	})
}

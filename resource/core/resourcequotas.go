package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// ResourceQuotas is all that the server knows about ResourceQuotas.
func ResourceQuotas() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.ResourceQuota]{
		Version: "v1", Kind: "ResourceQuota", Plural: "resourcequotas",
		Short: []string{"quota"}, Scope: resource.Namespaced,
		Views:    []resource.View[*corev1.ResourceQuota]{{Name: "status", Validate: validateResourceQuotaStatus, Prepare: func(_ *resource.Request, obj, old *corev1.ResourceQuota) { obj.Spec = old.Spec }}},
		Default:  defaultResourceQuota,
		Columns:  resourceQuotaColumns(),
		Validate: validateResourceQuota, ValidateUpdate: validateResourceQuotaUpdate,
	})
}

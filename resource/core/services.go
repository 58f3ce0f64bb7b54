package core

import (
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/resource"
)

// Services is all that the server knows about Services.
func Services() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.Service]{
		Version: "v1", Kind: "Service", Plural: "services",
		Short: []string{"svc"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		StorageKey:     "services/specs",
		CreateOnUpdate: true,
		Default:        defaultService, ValidateName: apivalidation.NameIsDNSLabel,
		Views: []resource.View[*corev1.Service]{{Name: "status", Validate: validateServiceStatus, Prepare: func(_ *resource.Request, obj, old *corev1.Service) { obj.Spec = old.Spec }}},
		Connectors: []resource.Connector{
			{Name: "proxy", Kind: schema.GroupVersionKind{Group: "", Version: "v1", Kind: "ServiceProxyOptions"}, Verbs: []string{"create", "delete", "get", "patch", "update"}},
		},
		Fields: []resource.Field[*corev1.Service]{
			{Name: "spec.clusterIP", Value: func(s *corev1.Service) string { return s.Spec.ClusterIP }},
			{Name: "spec.type", Value: func(s *corev1.Service) string { return string(s.Spec.Type) }},
		},
		Columns:       serviceColumns(),
		PrepareCreate: prepareService, PrepareUpdate: prepareServiceUpdate,
		Validate: validateService, ValidateUpdate: validateServiceUpdate, Warn: warnService,
	})
}

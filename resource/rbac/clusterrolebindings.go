package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/septet-io/septet/resource"
)

// ClusterRoleBindings is all that the server knows about ClusterRoleBindings.
func ClusterRoleBindings() *resource.Kind {
	return resource.Define(resource.Definition[*rbacv1.ClusterRoleBinding]{
		Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding", Plural: "clusterrolebindings",
		Scope:          resource.Cluster,
		CreateOnUpdate: true,
		Default:        func(b *rbacv1.ClusterRoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
		ValidateName:   path.ValidatePathSegmentName,
		Columns: bindingColumns("clusterRoleBinding", rbacv1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"], func(b *rbacv1.ClusterRoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) {
			return b.RoleRef, b.Subjects
		}),
		Validate: validateClusterRoleBinding, ValidateUpdate: validateClusterRoleBindingUpdate,
	})
}

package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/septet-io/septet/resource"
)

// RoleBindings is all that the server knows about RoleBindings.
func RoleBindings() *resource.Kind {
	return resource.Define(resource.Definition[*rbacv1.RoleBinding]{
		Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding", Plural: "rolebindings",
		Scope:          resource.Namespaced,
		CreateOnUpdate: true,
		Default:        func(b *rbacv1.RoleBinding) { defaultBinding(&b.RoleRef, b.Subjects) },
		ValidateName:   path.ValidatePathSegmentName,
		Columns: bindingColumns("roleBinding", rbacv1.RoleBinding{}.SwaggerDoc()["roleRef"], func(b *rbacv1.RoleBinding) (rbacv1.RoleRef, []rbacv1.Subject) {
			return b.RoleRef, b.Subjects
		}),
		Validate: validateRoleBinding, ValidateUpdate: validateRoleBindingUpdate,
	})
}

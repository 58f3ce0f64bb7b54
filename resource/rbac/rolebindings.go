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
		ValidateName:   path.ValidatePathSegmentName,
	})
}

package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/septet-io/septet/resource"
)

// Roles is all that the server knows about Roles.
func Roles() *resource.Kind {
	return resource.Define(resource.Definition[*rbacv1.Role]{
		Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role", Plural: "roles",
		Scope:          resource.Namespaced,
		CreateOnUpdate: true,
		ValidateName:   path.ValidatePathSegmentName,
		Columns:        []resource.Column[*rbacv1.Role]{resource.Name[*rbacv1.Role](), resource.CreatedAt[*rbacv1.Role]()},
		Validate:       validateRole, ValidateUpdate: validateRoleUpdate,
	})
}

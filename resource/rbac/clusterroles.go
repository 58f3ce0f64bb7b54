package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"github.com/septet-io/septet/resource"
)

// ClusterRoles is all that the server knows about ClusterRoles.
func ClusterRoles() *resource.Kind {
	return resource.Define(resource.Definition[*rbacv1.ClusterRole]{
		Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole", Plural: "clusterroles",
		Scope:          resource.Cluster,
		CreateOnUpdate: true,
		ValidateName:   path.ValidatePathSegmentName,
		Columns:        []resource.Column[*rbacv1.ClusterRole]{resource.Name[*rbacv1.ClusterRole](), resource.CreatedAt[*rbacv1.ClusterRole]()},
		Validate:       validateClusterRole, ValidateUpdate: validateClusterRoleUpdate,
	})
}

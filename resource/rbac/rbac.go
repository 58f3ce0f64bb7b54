// Package rbac holds roles and their bindings.
package rbac

import "github.com/septet-io/septet/resource"

// Kinds makes the kinds of the group, by name.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		ClusterRoleBindings(),
		ClusterRoles(),
		RoleBindings(),
		Roles(),
	}
}

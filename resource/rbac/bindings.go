package rbac

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/septet-io/septet/resource"
)

// defaultBinding names the API groups that everybody means.
func defaultBinding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if ref.APIGroup == "" {
		ref.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		s := &subjects[i]
		if s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

// bindingColumns are the columns of both kinds of binding; role documents the one of roles, and kind is the binding's in the
// others' descriptions.
func bindingColumns[T resource.Object](kind, role string, of func(T) (rbacv1.RoleRef, []rbacv1.Subject)) []resource.Column[T] {
	named := func(kind string) func(T) string {
		return func(binding T) string {
			_, subjects := of(binding)
			var names []string
			for _, s := range subjects {
				switch {
				case s.Kind != kind:
				case kind == rbacv1.ServiceAccountKind:
					names = append(names, s.Namespace+"/"+s.Name)
				default:
					names = append(names, s.Name)
				}
			}
			return strings.Join(names, ", ")
		}
	}
	return []resource.Column[T]{
		resource.Name[T](),
		resource.Text("Role", strings.TrimSuffix(role, " This field is immutable."), func(binding T) string {
			ref, _ := of(binding)
			return ref.Kind + "/" + ref.Name
		}),
		resource.Age[T](),
		resource.Wide("Users", "Users in the "+kind, named(rbacv1.UserKind)),
		resource.Wide("Groups", "Groups in the "+kind, named(rbacv1.GroupKind)),
		resource.Wide("ServiceAccounts", "ServiceAccounts in the "+kind, named(rbacv1.ServiceAccountKind)),
	}
}

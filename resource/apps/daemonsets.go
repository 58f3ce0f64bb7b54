package apps

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/septet-io/septet/resource"
)

// DaemonSets is all that the server knows about DaemonSets.
func DaemonSets() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.DaemonSet]{
		Group: "apps", Version: "v1", Kind: "DaemonSet", Plural: "daemonsets",
		Short: []string{"ds"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*appsv1.DaemonSet]{{Name: "status", Validate: validateDaemonSetStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.DaemonSet) { obj.Spec = old.Spec }}},
		Default:    defaultDaemonSet,
		Columns:    daemonSetColumns(),
		Validate:   validateDaemonSet, ValidateUpdate: validateDaemonSetUpdate, Warn: warnDaemonSet,
	})
}

package apps

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/septet-io/septet/resource"
)

// ReplicaSets is all that the server knows about ReplicaSets.
func ReplicaSets() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.ReplicaSet]{
		Group: "apps", Version: "v1", Kind: "ReplicaSet", Plural: "replicasets",
		Short: []string{"rs"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views:      []resource.View[*appsv1.ReplicaSet]{{Name: "status", Validate: validateReplicaSetStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.ReplicaSet) { obj.Spec = old.Spec }}},
		Scale:      scaleReplicaSets(),
		Default:    defaultReplicaSet,
		Columns:    replicaSetColumns(),
		Validate:   validateReplicaSet, ValidateUpdate: validateReplicaSetUpdate, Warn: warnReplicaSet,
	})
}

package core

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/resource"
)

// ReplicationControllers is all that the server knows about ReplicationControllers.
func ReplicationControllers() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.ReplicationController]{
		Version: "v1", Kind: "ReplicationController", Plural: "replicationcontrollers",
		Short: []string{"rc"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		StorageKey:  "controllers",
		Generation:  true,
		Propagation: metav1.DeletePropagationOrphan,
		Views:       []resource.View[*corev1.ReplicationController]{{Name: "status", Validate: validateReplicationControllerStatus, Prepare: func(_ *resource.Request, obj, old *corev1.ReplicationController) { obj.Spec = old.Spec }}},
		Scale:       scaleReplicationControllers(),
		Default:     defaultReplicationController,
		Fields: []resource.Field[*corev1.ReplicationController]{
			{Name: "status.replicas", Value: func(rc *corev1.ReplicationController) string { return strconv.Itoa(int(rc.Status.Replicas)) }},
		},
		Columns:  replicationControllerColumns(),
		Validate: validateReplicationController, ValidateUpdate: validateReplicationControllerUpdate, Warn: warnReplicationController,
	})
}

package core

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// PersistentVolumeClaims is all that the server knows about PersistentVolumeClaims.
func PersistentVolumeClaims() *resource.Kind {
	return resource.Define(resource.Definition[*corev1.PersistentVolumeClaim]{
		Version: "v1", Kind: "PersistentVolumeClaim", Plural: "persistentvolumeclaims",
		Short: []string{"pvc"}, Scope: resource.Namespaced,
		Views:         []resource.View[*corev1.PersistentVolumeClaim]{{Name: "status", Validate: validateClaimStatus, Prepare: prepareClaimStatus}},
		Default:       DefaultClaim,
		Columns:       claimColumns(),
		PrepareCreate: prepareClaim, PrepareUpdate: prepareClaimUpdate,
		Validate: validateClaim, ValidateUpdate: validateClaimUpdate, Warn: warnClaim,
	})
}

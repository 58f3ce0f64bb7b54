package apps

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/septet-io/septet/resource"
)

// ControllerRevisions is all that the server knows about ControllerRevisions.
func ControllerRevisions() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.ControllerRevision]{
		Group: "apps", Version: "v1", Kind: "ControllerRevision", Plural: "controllerrevisions",
		Scope:    resource.Namespaced,
		Columns:  controllerRevisionColumns(),
		Validate: validateControllerRevision, ValidateUpdate: validateControllerRevisionUpdate,
	})
}

package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/resource"
)

// PriorityLevelConfigurations is all that the server knows about PriorityLevelConfigurations.
func PriorityLevelConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*flowcontrolv1.PriorityLevelConfiguration]{
		Group: "flowcontrol.apiserver.k8s.io", Version: "v1", Kind: "PriorityLevelConfiguration", Plural: "prioritylevelconfigurations",
		Scope:      resource.Cluster,
		Generation: true,
		Views:      []resource.View[*flowcontrolv1.PriorityLevelConfiguration]{{Name: "status"}},
	})
}

package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/resource"
)

// FlowSchemas is all that the server knows about FlowSchemas.
func FlowSchemas() *resource.Kind {
	return resource.Define(resource.Definition[*flowcontrolv1.FlowSchema]{
		Group: "flowcontrol.apiserver.k8s.io", Version: "v1", Kind: "FlowSchema", Plural: "flowschemas",
		Scope:      resource.Cluster,
		Generation: true,
		Views:      []resource.View[*flowcontrolv1.FlowSchema]{{Name: "status"}},
	})
}

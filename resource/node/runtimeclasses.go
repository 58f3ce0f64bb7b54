package node

import (
	nodev1 "k8s.io/api/node/v1"

	"github.com/septet-io/septet/resource"
)

// RuntimeClasses is all that the server knows about RuntimeClasses.
func RuntimeClasses() *resource.Kind {
	return resource.Define(resource.Definition[*nodev1.RuntimeClass]{
		Group: "node.k8s.io", Version: "v1", Kind: "RuntimeClass", Plural: "runtimeclasses",
		Scope:    resource.Cluster,
		Validate: validateRuntimeClass, ValidateUpdate: validateRuntimeClassUpdate,
		RequireVersion: true,
		Columns: []resource.Column[*nodev1.RuntimeClass]{
			resource.Name[*nodev1.RuntimeClass](),
			resource.Text("Handler", "", func(c *nodev1.RuntimeClass) string { return c.Handler }),
			resource.Age[*nodev1.RuntimeClass](),
		},
	})
}

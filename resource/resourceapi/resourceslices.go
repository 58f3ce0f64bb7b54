package resourceapi

import (
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// ResourceSlices is all that the server knows about ResourceSlices.
func ResourceSlices() *resource.Kind {
	return resource.Define(resource.Definition[*resourcev1.ResourceSlice]{
		Group: "resource.k8s.io", Version: "v1", Kind: "ResourceSlice", Plural: "resourceslices",
		Scope:    resource.Cluster,
		Validate: validateSlice, ValidateUpdate: validateSliceUpdate,
		Generation:    true,
		PrepareCreate: stampTaints,
		PrepareUpdate: func(r *resource.Request, obj, _ *resourcev1.ResourceSlice) { stampTaints(r, obj) },
		Fields: []resource.Field[*resourcev1.ResourceSlice]{
			{Name: "spec.nodeName", Value: sliceNode},
			{Name: "spec.driver", Value: func(s *resourcev1.ResourceSlice) string { return s.Spec.Driver }},
		},
		Columns: []resource.Column[*resourcev1.ResourceSlice]{
			resource.Name[*resourcev1.ResourceSlice](),
			resource.Text("Node", resourcev1.ResourceSliceSpec{}.SwaggerDoc()["nodeName"], func(s *resourcev1.ResourceSlice) string {
				if node := sliceNode(s); node != "" {
					return node
				}
				return "<unset>"
			}),
			resource.Text("Driver", resourcev1.ResourceSliceSpec{}.SwaggerDoc()["driver"], func(s *resourcev1.ResourceSlice) string { return s.Spec.Driver }),
			resource.Text("Pool", resourcev1.ResourcePool{}.SwaggerDoc()["name"], func(s *resourcev1.ResourceSlice) string { return s.Spec.Pool.Name }),
			resource.Age[*resourcev1.ResourceSlice](),
		},
	})
}

func sliceNode(slice *resourcev1.ResourceSlice) string { return ptr.Deref(slice.Spec.NodeName, "") }

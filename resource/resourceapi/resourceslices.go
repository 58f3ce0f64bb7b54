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
		Scope:      resource.Cluster,
		Generation: true,
		Fields: []resource.Field[*resourcev1.ResourceSlice]{
			{Name: "spec.nodeName", Value: func(s *resourcev1.ResourceSlice) string { return ptr.Deref(s.Spec.NodeName, "") }},
			{Name: "spec.driver", Value: func(s *resourcev1.ResourceSlice) string { return s.Spec.Driver }},
		},
	})
}

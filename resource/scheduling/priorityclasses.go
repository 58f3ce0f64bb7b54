package scheduling

import (
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/septet-io/septet/resource"
)

// PriorityClasses is all that the server knows about PriorityClasses.
func PriorityClasses() *resource.Kind {
	return resource.Define(resource.Definition[*schedulingv1.PriorityClass]{
		Group: "scheduling.k8s.io", Version: "v1", Kind: "PriorityClass", Plural: "priorityclasses",
		Short: []string{"pc"}, Scope: resource.Cluster,
	})
}

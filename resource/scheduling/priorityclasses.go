package scheduling

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// PriorityClasses is all that the server knows about PriorityClasses.
func PriorityClasses() *resource.Kind {
	return resource.Define(resource.Definition[*schedulingv1.PriorityClass]{
		Group: "scheduling.k8s.io", Version: "v1", Kind: "PriorityClass", Plural: "priorityclasses",
		Short: []string{"pc"}, Scope: resource.Cluster,
		Validate: validatePriorityClass, ValidateUpdate: validatePriorityClassUpdate,
		Default: func(c *schedulingv1.PriorityClass) {
			if c.PreemptionPolicy == nil {
				c.PreemptionPolicy = ptr.To(corev1.PreemptLowerPriority)
			}
		},
		PrepareCreate: func(_ *resource.Request, c *schedulingv1.PriorityClass) { c.Generation = 1 },
		Columns: []resource.Column[*schedulingv1.PriorityClass]{
			resource.Name[*schedulingv1.PriorityClass](),
			resource.Number("Value", schedulingv1.PriorityClass{}.SwaggerDoc()["value"],
				func(c *schedulingv1.PriorityClass) int64 { return int64(c.Value) }),
			resource.Truth("Global-Default", schedulingv1.PriorityClass{}.SwaggerDoc()["globalDefault"],
				func(c *schedulingv1.PriorityClass) bool { return c.GlobalDefault }),
			resource.Age[*schedulingv1.PriorityClass](),
			resource.Text("PreemptionPolicy", schedulingv1.PriorityClass{}.SwaggerDoc()["preemptionPolicy"],
				func(c *schedulingv1.PriorityClass) string {
					return string(ptr.Deref(c.PreemptionPolicy, corev1.PreemptLowerPriority))
				}),
		},
	})
}

package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/resource"
)

// FlowSchemas is all that the server knows about FlowSchemas.
func FlowSchemas() *resource.Kind {
	doc := flowcontrolv1.FlowSchemaSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*flowcontrolv1.FlowSchema]{
		Group: "flowcontrol.apiserver.k8s.io", Version: "v1", Kind: "FlowSchema", Plural: "flowschemas",
		Scope:      resource.Cluster,
		Generation: true,
		Validate:   validateSchema, ValidateUpdate: validateSchemaUpdate,
		Default: func(f *flowcontrolv1.FlowSchema) {
			if f.Spec.MatchingPrecedence == 0 {
				f.Spec.MatchingPrecedence = flowcontrolv1.FlowSchemaMaxMatchingPrecedence / 10
			}
		},
		Views: []resource.View[*flowcontrolv1.FlowSchema]{{Name: "status"}},
		Columns: []resource.Column[*flowcontrolv1.FlowSchema]{
			resource.Name[*flowcontrolv1.FlowSchema](),
			resource.Text("PriorityLevel", flowcontrolv1.PriorityLevelConfigurationReference{}.SwaggerDoc()["name"],
				func(f *flowcontrolv1.FlowSchema) string { return f.Spec.PriorityLevelConfiguration.Name }),
			resource.Number("MatchingPrecedence", doc["matchingPrecedence"],
				func(f *flowcontrolv1.FlowSchema) int64 { return int64(f.Spec.MatchingPrecedence) }),
			resource.Text("DistinguisherMethod", doc["distinguisherMethod"], func(f *flowcontrolv1.FlowSchema) string {
				if f.Spec.DistinguisherMethod == nil {
					return "<none>"
				}
				return string(f.Spec.DistinguisherMethod.Type)
			}),
			resource.Age[*flowcontrolv1.FlowSchema](),
			resource.Text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration", dangling),
		},
	})
}

func dangling(f *flowcontrolv1.FlowSchema) string {
	for _, c := range f.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
			return string(c.Status)
		}
	}
	return "?"
}

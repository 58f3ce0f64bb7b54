package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"

	"github.com/septet-io/septet/resource"
)

// StatefulSets is all that the server knows about StatefulSets.
func StatefulSets() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.StatefulSet]{
		Group: "apps", Version: "v1", Kind: "StatefulSet", Plural: "statefulsets",
		Short: []string{"sts"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation:   true,
		Views:        []resource.View[*appsv1.StatefulSet]{{Name: "status", Validate: validateStatefulSetStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.StatefulSet) { obj.Spec = old.Spec }}},
		Scale:        scaleStatefulSets(),
		Default:      defaultStatefulSet,
		ValidateName: apivalidation.NameIsDNSLabel,
		Columns:      statefulSetColumns(),
		Validate:     validateStatefulSet, ValidateUpdate: validateStatefulSetUpdate, Warn: warnStatefulSet,
	})
}

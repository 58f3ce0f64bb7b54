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
		Generation:    true,
		Views:         []resource.View[*appsv1.StatefulSet]{{Name: "status", Validate: validateStatefulSetStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.StatefulSet) { obj.Spec = old.Spec }}},
		Scale:         scaleStatefulSets(),
		Default:       defaultStatefulSet,
		PrepareCreate: func(_ *resource.Request, obj *appsv1.StatefulSet) { dropMaxUnavailable(obj, nil) },
		PrepareUpdate: func(_ *resource.Request, obj, old *appsv1.StatefulSet) { dropMaxUnavailable(obj, old) },
		ValidateName:  apivalidation.NameIsDNSLabel,
		Columns:       statefulSetColumns(),
		Validate:      validateStatefulSet, ValidateUpdate: validateStatefulSetUpdate, Warn: warnStatefulSet,
	})
}

// dropMaxUnavailable drops what upstream drops by default, unless it is stored. It is dropped after its sender was noted as
// its manager.
func dropMaxUnavailable(set, old *appsv1.StatefulSet) {
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && !limitsUnavailable(old) {
		rolling.MaxUnavailable = nil
	}
}

func limitsUnavailable(set *appsv1.StatefulSet) bool {
	return set != nil && set.Spec.UpdateStrategy.RollingUpdate != nil && set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil
}

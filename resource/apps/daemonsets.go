package apps

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/septet-io/septet/resource"
)

// DaemonSets is all that the server knows about DaemonSets.
func DaemonSets() *resource.Kind {
	return resource.Define(resource.Definition[*appsv1.DaemonSet]{
		Group: "apps", Version: "v1", Kind: "DaemonSet", Plural: "daemonsets",
		Short: []string{"ds"}, Categories: []string{"all"}, Scope: resource.Namespaced,
		Generation: true,
		Views: []resource.View[*appsv1.DaemonSet]{{Name: "status", Validate: validateDaemonSetStatus, Prepare: func(_ *resource.Request, obj, old *appsv1.DaemonSet) {
			obj.Spec = old.Spec
			setTemplateGeneration(obj, templateGeneration(old))
		}}},
		Default:       defaultDaemonSet,
		PrepareCreate: func(_ *resource.Request, obj *appsv1.DaemonSet) { setTemplateGeneration(obj, 1) },
		PrepareUpdate: func(_ *resource.Request, obj, old *appsv1.DaemonSet) {
			generation := templateGeneration(old)
			if !apiequality.Semantic.DeepEqual(obj.Spec.Template, old.Spec.Template) {
				generation++
			}
			setTemplateGeneration(obj, generation)
		},
		Columns:  daemonSetColumns(),
		Validate: validateDaemonSet, ValidateUpdate: validateDaemonSetUpdate, Warn: warnDaemonSet,
	})
}

// templateGeneration is how often the template of Pods has changed. It was a field once, and lives on as an annotation that
// every DaemonSet carries, whatever is sent.
func templateGeneration(set *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(set.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0 // stored before it was counted
	}
	return n
}

func setTemplateGeneration(set *appsv1.DaemonSet, n int64) {
	annotations := maps.Clone(set.Annotations) // they may be those of a stored object
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
	set.Annotations = annotations
}

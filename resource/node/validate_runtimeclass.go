package node

import (
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateRuntimeClass(_ *resource.Request, class *nodev1.RuntimeClass) field.ErrorList {
	errs := handler(class.Handler, field.NewPath("handler"))
	if class.Overhead != nil {
		errs = append(errs, core.Overhead(class.Overhead.PodFixed, field.NewPath("overhead"))...)
	}
	if s := class.Scheduling; s != nil {
		at := field.NewPath("scheduling")
		errs = append(errs, metav1validation.ValidateLabels(s.NodeSelector, at.Child("nodeSelector"))...)
		errs = append(errs, core.Tolerations(s.Tolerations, at.Child("tolerations"))...)
		errs = append(errs, unique(s.Tolerations, at.Child("tolerations"))...)
	}
	return errs
}

func handler(name string, at *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return core.DNSLabel(name, at)
}

func unique(list []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		for j := range i {
			if apiequality.Semantic.DeepEqual(list[i], list[j]) {
				errs = append(errs, field.Duplicate(path.Index(i), list[i]))
				break
			}
		}
	}
	return errs
}

func validateRuntimeClassUpdate(r *resource.Request, class, old *nodev1.RuntimeClass) field.ErrorList {
	return append(validateRuntimeClass(r, class), core.Immutable(class.Handler, old.Handler, field.NewPath("handler"))...)
}

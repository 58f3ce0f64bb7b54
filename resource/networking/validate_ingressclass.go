package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// maxController is how long a controller's name may be.
const maxController = 250

func validateIngressClass(_ *resource.Request, class *networkingv1.IngressClass) field.ErrorList {
	at := specPath.Child("controller")
	var errs field.ErrorList
	if len(class.Spec.Controller) > maxController {
		errs = append(errs, field.TooLong(at, "", maxController))
	}
	errs = append(errs, validation.IsDomainPrefixedPath(at, class.Spec.Controller)...)
	return append(errs, classParameters(class.Spec.Parameters, specPath.Child("parameters"))...)
}

func classParameters(p *networkingv1.IngressClassParametersReference, at *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := reference(p.APIGroup, p.Kind, p.Name, at)
	if p.Scope == nil {
		return append(errs, field.Required(at.Child("scope"), ""))
	}
	switch *p.Scope {
	case networkingv1.IngressClassParametersReferenceScopeNamespace:
		if p.Namespace == nil {
			return append(errs, field.Required(at.Child("namespace"), "`parameters.scope` is set to 'Namespace'"))
		}
		return append(errs, core.InvalidEach(at.Child("namespace"), *p.Namespace, apivalidation.ValidateNamespaceName(*p.Namespace, false))...)
	case networkingv1.IngressClassParametersReferenceScopeCluster:
		if p.Namespace != nil {
			errs = append(errs, field.Forbidden(at.Child("namespace"), "`parameters.scope` is set to 'Cluster'"))
		}
	default:
		errs = append(errs, core.OneOfIfSet(p.Scope, at.Child("scope"),
			networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace)...)
	}
	return errs
}

func validateIngressClassUpdate(r *resource.Request, class, old *networkingv1.IngressClass) field.ErrorList {
	return append(core.Immutable(class.Spec.Controller, old.Spec.Controller, specPath.Child("controller")), validateIngressClass(r, class)...)
}

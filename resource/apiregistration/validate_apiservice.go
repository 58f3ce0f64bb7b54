package apiregistration

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// Limits of the places that a group and a version take in lists.
const (
	maxGroupPriority   = 20000
	maxVersionPriority = 1000
)

func validateAPIService(_ *resource.Request, obj *apiregistrationv1.APIService) field.ErrorList {
	spec, at := &obj.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if obj.Name != spec.Version+"."+spec.Group {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), obj.Name, "must be `spec.version+\".\"+spec.group`"))
	}
	if spec.Group != "" {
		errs = append(errs, joined(at.Child("group"), spec.Group, validation.IsDNS1123Subdomain(spec.Group))...)
	}
	errs = append(errs, joined(at.Child("version"), spec.Version, validation.IsDNS1035Label(spec.Version))...)
	if p := spec.GroupPriorityMinimum; p <= 0 || p > maxGroupPriority {
		errs = append(errs, field.Invalid(at.Child("groupPriorityMinimum"), p, "must be positive and less than 20000"))
	}
	if p := spec.VersionPriority; p <= 0 || p > maxVersionPriority {
		errs = append(errs, field.Invalid(at.Child("versionPriority"), p, "must be positive and less than 1000"))
	}
	if spec.Service == nil {
		return append(errs, localOnly(spec, at)...)
	}
	if spec.Service.Namespace == "" {
		errs = append(errs, field.Required(at.Child("service", "namespace"), ""))
	}
	if spec.Service.Name == "" {
		errs = append(errs, field.Required(at.Child("service", "name"), ""))
	}
	if port := spec.Service.Port; port != nil {
		for _, m := range validation.IsValidPortNum(int(*port)) {
			errs = append(errs, field.Invalid(at.Child("service", "port"), *port, "port is not valid: "+m))
		}
	}
	if spec.InsecureSkipTLSVerify && len(spec.CABundle) > 0 {
		errs = append(errs, field.Invalid(at.Child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present"))
	}
	return errs
}

// localOnly: how to reach another server cannot be said of groups that this one serves.
func localOnly(spec *apiregistrationv1.APIServiceSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.CABundle) > 0 {
		errs = append(errs, field.Invalid(at.Child("caBundle"), spec.CABundle, "local APIServices may not have a caBundle"))
	}
	if spec.InsecureSkipTLSVerify {
		errs = append(errs, field.Invalid(at.Child("insecureSkipTLSVerify"), true, "local APIServices may not have insecureSkipTLSVerify"))
	}
	return errs
}

func joined(at *field.Path, value string, wrong []string) field.ErrorList {
	if len(wrong) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value, strings.Join(wrong, ","))}
}

func validateAPIServiceUpdate(r *resource.Request, obj, _ *apiregistrationv1.APIService) field.ErrorList {
	return validateAPIService(r, obj)
}

func validateAPIServiceStatus(_ *resource.Request, obj, _ *apiregistrationv1.APIService) field.ErrorList {
	var errs field.ErrorList
	for i, c := range obj.Status.Conditions {
		errs = append(errs, core.OneOfIfSet(&c.Status, field.NewPath("status", "conditions").Index(i).Child("status"),
			apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionUnknown)...)
	}
	return errs
}

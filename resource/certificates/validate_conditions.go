package certificates

import (
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// final are the conditions that are said once and for all.
var final = []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed}

func conditions(list []certificatesv1.CertificateSigningRequestCondition) field.ErrorList {
	path := statusPath.Child("conditions")
	var errs field.ErrorList
	approved, denied := false, false
	for i, c := range list {
		at := path.Index(i)
		if c.Type == "" {
			errs = append(errs, field.Required(at.Child("type"), ""))
		}
		errs = append(errs, conditionStatus(c, at.Child("status"))...)
		if slices.ContainsFunc(list[:i], func(o certificatesv1.CertificateSigningRequestCondition) bool { return o.Type == c.Type }) {
			errs = append(errs, field.Duplicate(at.Child("type"), c.Type))
		}
		approved, denied = approved || c.Type == certificatesv1.CertificateApproved, denied || c.Type == certificatesv1.CertificateDenied
		if approved && denied && verdict(c) {
			errs = append(errs, field.Invalid(at.Child("type"), c.Type, "Approved and Denied conditions are mutually exclusive"))
		}
	}
	return errs
}

func conditionStatus(c certificatesv1.CertificateSigningRequestCondition, at *field.Path) field.ErrorList {
	allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
	if slices.Contains(final, c.Type) {
		allowed = []corev1.ConditionStatus{corev1.ConditionTrue}
	}
	switch {
	case c.Status == "":
		return field.ErrorList{field.Required(at, "")}
	case !slices.Contains(allowed, c.Status):
		return field.ErrorList{field.NotSupported(at, c.Status, allowed)}
	}
	return nil
}

func conditionsUpdate(csr, old *certificatesv1.CertificateSigningRequest) field.ErrorList {
	var errs field.ErrorList
	for _, t := range final {
		is := func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == t }
		if slices.ContainsFunc(old.Status.Conditions, is) && !slices.ContainsFunc(csr.Status.Conditions, is) {
			errs = append(errs, field.Forbidden(statusPath.Child("conditions"), fmt.Sprintf("updates may not remove a condition of type %q", t)))
		}
	}
	return errs
}

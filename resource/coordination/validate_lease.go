package coordination

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateLease(_ *resource.Request, lease *coordinationv1.Lease) field.ErrorList {
	spec, path := &lease.Spec, field.NewPath("spec")
	var errs field.ErrorList
	if s := spec.LeaseDurationSeconds; s != nil && *s <= 0 {
		errs = append(errs, field.Invalid(path.Child("leaseDurationSeconds"), *s, "must be greater than 0"))
	}
	if n := spec.LeaseTransitions; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	if spec.Strategy != nil {
		errs = append(errs, strategy(*spec.Strategy, path.Child("strategy"))...)
	}
	if ptr.Deref(spec.PreferredHolder, "") != "" && ptr.Deref(spec.Strategy, "") == "" {
		errs = append(errs, field.Forbidden(path.Child("preferredHolder"), "may only be specified when `strategy` is defined"))
	}
	return errs
}

// strategy is one of Kubernetes' own, or has its owner's domain before it.
func strategy(s coordinationv1.CoordinatedLeaseStrategy, at *field.Path) field.ErrorList {
	if s != "" && !strings.Contains(string(s), "/") {
		return core.OneOf(s, at, coordinationv1.OldestEmulationVersion)
	}
	return core.QualifiedName(string(s), at)
}

func validateLeaseUpdate(r *resource.Request, lease, _ *coordinationv1.Lease) field.ErrorList {
	return validateLease(r, lease)
}

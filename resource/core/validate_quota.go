package core

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

func validateResourceQuota(_ *resource.Request, quota *corev1.ResourceQuota) field.ErrorList {
	errs := quotaAmounts(quota.Spec.Hard, specPath.Child("hard"))
	return append(errs, quotaScopes(&quota.Spec)...)
}

func quotaAmounts(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := path.Key(string(name))
		errs = append(errs, quotaResourceName(name, at)...)
		errs = append(errs, quantity(name, list[name], at)...)
	}
	return errs
}

var quotaScopeNames = []corev1.ResourceQuotaScope{
	corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
	corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity,
	corev1.ResourceQuotaScopeVolumeAttributesClass,
}

// scoped says whether a scope makes sense for a resource: only pods, and what they ask for, are in scopes.
func scoped(scope corev1.ResourceQuotaScope, name corev1.ResourceName) bool {
	switch scope {
	case corev1.ResourceQuotaScopeBestEffort:
		return name == corev1.ResourcePods
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		return name == corev1.ResourcePersistentVolumeClaims || name == corev1.ResourceRequestsStorage
	}
	switch name {
	case corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory:
		return true
	}
	return false
}

func quotaScopes(spec *corev1.ResourceQuotaSpec) field.ErrorList {
	var errs field.ErrorList
	path := specPath.Child("scopes")
	seen, selected := sets.New[corev1.ResourceQuotaScope](), sets.New[corev1.ResourceQuotaScope]()
	misapplied := func(scope corev1.ResourceQuotaScope, at *field.Path, value any) {
		for _, name := range slices.Sorted(maps.Keys(spec.Hard)) {
			if quotaStandard(name) && !scoped(scope, name) {
				errs = append(errs, field.Invalid(at, value, "unsupported scope applied to resource"))
			}
		}
	}
	for _, scope := range spec.Scopes {
		if !slices.Contains(quotaScopeNames, scope) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "unsupported scope"))
		}
		misapplied(scope, path, spec.Scopes)
		seen.Insert(scope)
	}
	if selector := spec.ScopeSelector; selector != nil {
		at := specPath.Child("scopeSelector", "matchExpressions")
		for i := range selector.MatchExpressions {
			r := &selector.MatchExpressions[i]
			if !slices.Contains(quotaScopeNames, r.ScopeName) {
				errs = append(errs, field.Invalid(at.Child("scopeName"), r.ScopeName, "unsupported scope"))
			}
			misapplied(r.ScopeName, at, selector)
			errs = append(errs, scopeRequirement(r, at)...)
			selected.Insert(r.ScopeName)
		}
	}
	for _, pair := range [][2]corev1.ResourceQuotaScope{
		{corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort},
		{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating},
	} {
		if seen.HasAll(pair[0], pair[1]) {
			errs = append(errs, field.Invalid(path, spec.Scopes, "conflicting scopes"))
		}
		if selected.HasAll(pair[0], pair[1]) {
			errs = append(errs, field.Invalid(specPath.Child("scopeSelector", "matchExpressions"), spec.Scopes, "conflicting scopes"))
		}
	}
	return errs
}

func scopeRequirement(r *corev1.ScopedResourceSelectorRequirement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	valued := r.ScopeName == corev1.ResourceQuotaScopePriorityClass || r.ScopeName == corev1.ResourceQuotaScopeVolumeAttributesClass
	if !valued && slices.Contains(quotaScopeNames, r.ScopeName) && r.Operator != corev1.ScopeSelectorOpExists {
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "+
			"ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			errs = append(errs, field.Required(path.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			errs = append(errs, field.Invalid(path.Child("values"), r.Values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
		}
	default:
		errs = append(errs, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	return errs
}

func validateResourceQuotaUpdate(r *resource.Request, quota, old *corev1.ResourceQuota) field.ErrorList {
	errs := validateResourceQuota(r, quota)
	if now, before := sets.New(quota.Spec.Scopes...), sets.New(old.Spec.Scopes...); !now.Equal(before) {
		errs = append(errs, field.Invalid(specPath.Child("scopes"), quota.Spec.Scopes, "field is immutable"))
	}
	return errs
}

func validateResourceQuotaStatus(_ *resource.Request, quota, _ *corev1.ResourceQuota) field.ErrorList {
	errs := quotaAmounts(quota.Status.Hard, statusPath.Child("hard"))
	return append(errs, quotaAmounts(quota.Status.Used, statusPath.Child("used"))...)
}

// limitTypeName checks what the ranges of a LimitRange are about.
func limitTypeName(name string, path *field.Path) field.ErrorList {
	errs := QualifiedName(name, path)
	if len(errs) > 0 || strings.Contains(name, "/") {
		return errs
	}
	switch corev1.LimitType(name) {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, "must be a standard limit type or fully qualified")}
}

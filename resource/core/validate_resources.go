package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// containerResources checks what a container asks for and may use.
func containerResources(r *corev1.ResourceRequirements, claims sets.Set[string], path *field.Path) field.ErrorList {
	return append(amounts(r, containerResourceName, path), claimNames(r.Claims, claims, path.Child("claims"))...)
}

// amounts checks requests and limits; name says which resources there may be.
func amounts(r *corev1.ResourceRequirements, name func(corev1.ResourceName, *field.Path) field.ErrorList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	limits, requests := path.Child("limits"), path.Child("requests")
	huge, ordinary := false, false
	one := func(n corev1.ResourceName, amount resource.Quantity, at *field.Path) {
		errs = append(errs, name(n, at)...)
		errs = append(errs, quantity(n, amount, at)...)
		if isHugePages(n) {
			huge = true
			errs = append(errs, wholePages(n, amount, at)...)
		}
		ordinary = ordinary || n == corev1.ResourceCPU || n == corev1.ResourceMemory
	}
	for _, n := range slices.Sorted(maps.Keys(r.Limits)) {
		one(n, r.Limits[n], limits.Key(string(n)))
	}
	for _, n := range slices.Sorted(maps.Keys(r.Requests)) {
		amount, at := r.Requests[n], requests.Key(string(n))
		one(n, amount, at)
		limit, limited := r.Limits[n]
		switch {
		case !limited && !overcommittable(n):
			errs = append(errs, field.Required(limits, "Limit must be set for non overcommitable resources"))
		case limited && amount.Cmp(limit) != 0 && !overcommittable(n):
			errs = append(errs, field.Invalid(at, amount.String(), fmt.Sprintf("must be equal to %s limit of %s", n, limit.String())))
		case limited && amount.Cmp(limit) > 0:
			errs = append(errs, field.Invalid(at, amount.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", n, limit.String())))
		}
	}
	if huge && !ordinary {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

// wholePages: huge pages come whole.
func wholePages(name corev1.ResourceName, amount resource.Quantity, path *field.Path) field.ErrorList {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err != nil || size.Sign() <= 0 {
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("%s is not a page size", strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix)))}
	}
	if amount.Value()%size.Value() != 0 {
		return field.ErrorList{field.Invalid(path, amount.String(), fmt.Sprintf("%s is not positive integer multiple of %s", amount.String(), name))}
	}
	return nil
}

// claimNames checks which of the pod's resource claims a container uses (KEP-4381).
func claimNames(claims []corev1.ResourceClaim, known sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, claim := range claims {
		at := path.Index(i)
		if claim.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		key := claim.Name
		if claim.Request != "" {
			errs = append(errs, DNSLabel(claim.Request, at.Child("request"))...)
			key += "/" + claim.Request
		}
		// The whole claim includes each of its requests.
		if seen.Has(key) || seen.Has(claim.Name) {
			errs = append(errs, field.Duplicate(at, key))
		}
		seen.Insert(key)
		if !known.Has(claim.Name) {
			missing := field.NotFound(at, claim.Name)
			missing.Detail = "must be one of the names in pod.spec.resourceClaims"
			if known.Len() == 0 {
				missing.Detail += " which is empty"
			} else {
				missing.Detail += ": " + strings.Join(sets.List(known), ", ")
			}
			errs = append(errs, missing)
		}
	}
	return errs
}

// podClaims checks spec.resourceClaims and remembers their names.
func (c *podCheck) podClaims(meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	c.claims = sets.New[string]()
	static := false
	if meta != nil {
		_, static = meta.Annotations[corev1.MirrorPodAnnotationKey]
	}
	for i := range c.spec.ResourceClaims {
		claim, at := &c.spec.ResourceClaims[i], path.Index(i)
		if static {
			errs = append(errs, field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
			continue
		}
		errs = append(errs, label(claim.Name, at.Child("name"))...)
		if c.claims.Has(claim.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), claim.Name))
		}
		if claim.Name != "" {
			c.claims.Insert(claim.Name)
		}
		if claim.ResourceClaimName != nil && claim.ResourceClaimTemplateName != nil {
			errs = append(errs, field.Invalid(at, *claim, "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		}
		if claim.ResourceClaimName == nil && claim.ResourceClaimTemplateName == nil {
			errs = append(errs, field.Invalid(at, *claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
		if claim.ResourceClaimName != nil {
			errs = append(errs, DNSSubdomain(*claim.ResourceClaimName, at.Child("resourceClaimName"))...)
		}
		if claim.ResourceClaimTemplateName != nil {
			errs = append(errs, DNSSubdomain(*claim.ResourceClaimTemplateName, at.Child("resourceClaimTemplateName"))...)
		}
	}
	return errs
}

// podResources checks spec.resources, what all containers together may use (KEP-2837).
func (c *podCheck) podResources(path *field.Path) field.ErrorList {
	whole := c.spec.Resources
	if whole == nil {
		return nil
	}
	if c.spec.OS != nil && c.spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(path, "may not be set for a windows pod")}
	}
	var errs field.ErrorList
	if whole.Claims != nil {
		errs = append(errs, field.Forbidden(path.Child("claims"), "claims may not be set for Resources at pod-level"))
	}
	errs = append(errs, amounts(whole, podLevelName, path)...)
	requests := Together(c.spec, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Requests })
	for _, name := range slices.Sorted(maps.Keys(whole.Requests)) {
		sum, amount := requests[name], whole.Requests[name]
		if sum.Cmp(amount) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), amount.String(),
				"must be greater than or equal to aggregate container requests of "+sum.String()))
		}
	}
	return append(errs, c.withinPod(path)...)
}

// withinPod: no container's limit is above the pod's, nor all together's of huge pages, which are never promised twice.
func (c *podCheck) withinPod(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	limits := Together(c.spec, func(c *corev1.Container) corev1.ResourceList { return c.Resources.Limits })
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		sum := limits[name]
		if most, ok := c.spec.Resources.Limits[name]; ok && isHugePages(name) && sum.Cmp(most) > 0 {
			errs = append(errs, field.Invalid(path.Child("limits").Key(string(name)), most.String(),
				"must be greater than or equal to aggregate container limits of "+sum.String()))
		}
	}
	for i := range c.spec.Containers {
		for _, name := range slices.Sorted(maps.Keys(c.spec.Containers[i].Resources.Limits)) {
			limit := c.spec.Containers[i].Resources.Limits[name]
			if most, ok := c.spec.Resources.Limits[name]; ok && limit.Cmp(most) > 0 {
				errs = append(errs, field.Invalid(path.Child("containers").Index(i).Key(string(name)).Child("limits"), limit.String(),
					"must be less than or equal to pod limits of "+most.String()))
			}
		}
	}
	return errs
}

func podLevelName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	if PodLevelResource(name) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceHugePagesPrefix, corev1.ResourceMemory})}
}

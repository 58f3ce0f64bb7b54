package core

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

func validateLimitRange(_ *resource.Request, limits *corev1.LimitRange) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.LimitType]()
	for i := range limits.Spec.Limits {
		item, at := &limits.Spec.Limits[i], specPath.Child("limits").Index(i)
		errs = append(errs, limitTypeName(string(item.Type), at.Child("type"))...)
		if seen.Has(item.Type) {
			errs = append(errs, field.Duplicate(at.Child("type"), item.Type))
		}
		seen.Insert(item.Type)
		errs = append(errs, limitItem(item, at)...)
	}
	return errs
}

func validateLimitRangeUpdate(r *resource.Request, limits, _ *corev1.LimitRange) field.ErrorList {
	return validateLimitRange(r, limits)
}

func limitItem(item *corev1.LimitRangeItem, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[corev1.ResourceName]()
	check := func(list corev1.ResourceList, field string) {
		for name := range list {
			names.Insert(name)
			errs = append(errs, limitName(item.Type, name, path.Child(field).Key(string(name)))...)
		}
	}
	check(item.Max, "max")
	check(item.Min, "min")
	if item.Type == corev1.LimitTypePod {
		for _, f := range []setField{{"default", len(item.Default) > 0}, {"defaultRequest", len(item.DefaultRequest) > 0}} {
			if f.set {
				errs = append(errs, field.Forbidden(path.Child(f.name), "may not be specified when `type` is 'Pod'"))
			}
		}
	} else {
		check(item.Default, "default")
		check(item.DefaultRequest, "defaultRequest")
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, least := item.Min[corev1.ResourceStorage]
		_, most := item.Max[corev1.ResourceStorage]
		if !least && !most {
			errs = append(errs, field.Required(path.Child("limits"), "either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	check(item.MaxLimitRequestRatio, "maxLimitRequestRatio")
	ordered := names.UnsortedList()
	slices.Sort(ordered)
	for _, name := range ordered {
		errs = append(errs, limitOrder(item, name, path)...)
	}
	return errs
}

func limitName(kind corev1.LimitType, name corev1.ResourceName, path *field.Path) field.ErrorList {
	if kind == corev1.LimitTypePod || kind == corev1.LimitTypeContainer {
		return containerResourceName(name, path)
	}
	return resourceName(name, path)
}

// limitOrder: minimum, default request, default limit and maximum of a resource come in this order.
func limitOrder(item *corev1.LimitRangeItem, name corev1.ResourceName, path *field.Path) field.ErrorList {
	type bound struct {
		list        corev1.ResourceList
		field, text string
	}
	least, most := bound{item.Min, "min", "min value"}, bound{item.Max, "max", "max value"}
	request, limit := bound{item.DefaultRequest, "defaultRequest", "default request value"}, bound{item.Default, "default", "default value"}
	limitOfRequest := bound{item.Default, "default", "default limit value"}
	key := string(name)
	var errs field.ErrorList
	for _, pair := range []struct {
		small, large bound
		at           string
	}{
		{least, most, "min"}, {least, request, "defaultRequest"}, {request, most, "defaultRequest"},
		{request, limitOfRequest, "defaultRequest"}, {least, limit, "default"}, {limit, most, "default"},
	} {
		a, ok := pair.small.list[name]
		b, also := pair.large.list[name]
		if !ok || !also || a.Cmp(b) <= 0 {
			continue
		}
		value := a
		if pair.at == pair.large.field {
			value = b
			if pair.at == "default" {
				value = a
			}
		}
		errs = append(errs, field.Invalid(path.Child(pair.at).Key(key), value.String(),
			fmt.Sprintf("%s %s is greater than %s %s", pair.small.text, a.String(), pair.large.text, b.String())))
	}
	errs = append(errs, limitRatio(item, name, path.Child("maxLimitRequestRatio").Key(key))...)
	dr, ok := item.DefaultRequest[name]
	d, also := item.Default[name]
	if ok && also && !overcommittable(name) && d.Cmp(dr) != 0 {
		errs = append(errs, field.Invalid(path.Child("defaultRequest").Key(key), dr.String(),
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", d.String(), dr.String(), name)))
	}
	return errs
}

// limitRatio: how far a limit may be above its request.
func limitRatio(item *corev1.LimitRangeItem, name corev1.ResourceName, path *field.Path) field.ErrorList {
	ratio, ok := item.MaxLimitRequestRatio[name]
	if !ok {
		return nil
	}
	var errs field.ErrorList
	if ratio.Cmp(*apiresource.NewQuantity(1, apiresource.DecimalSI)) < 0 {
		errs = append(errs, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is less than 1", ratio.String())))
	}
	least, has := item.Min[name]
	most, also := item.Max[name]
	if !has || !also {
		return errs
	}
	value := (*apiresource.Quantity).Value
	const large = math.MaxInt64 / 1000
	if ratio.Value() < large && least.Value() < large && most.Value() < large {
		value = (*apiresource.Quantity).MilliValue
	}
	allowed := float64(value(&most)) / float64(value(&least))
	wanted := ratio.AsApproximateFloat64()
	if wanted > allowed {
		errs = append(errs, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), allowed)))
	}
	return errs
}

package resourceapi

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource/core"
)

// device checks one device; before is it as it was, nil if it is new. placed says that it tells its own nodes.
func device(d, before *resourcev1.Device, placed bool, at *field.Path) field.ErrorList {
	errs := core.DNSLabel(d.Name, at.Child("name"))
	if n := len(d.Attributes) + len(d.Capacity); n > resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice {
		errs = append(errs, field.Invalid(at, n,
			fmt.Sprintf("the total number of attributes and capacities must not exceed %d", resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice)))
	}
	if n := len(d.Attributes); n > resourcev1.ResourceSliceMaxAttributeValuesPerDevice {
		errs = append(errs, field.Invalid(at, n, fmt.Sprintf("the total number of attribute values must not exceed %d", resourcev1.ResourceSliceMaxAttributeValuesPerDevice)))
	}
	for _, key := range slices.Sorted(maps.Keys(d.Attributes)) {
		errs = append(errs, qualified(string(key), at.Child("attributes"))...)
		errs = append(errs, attribute(d.Attributes[key], at.Child("attributes").Key(shortened(string(key))))...)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Capacity)) {
		errs = append(errs, qualified(string(key), at.Child("capacity"))...)
		errs = append(errs, capacity(d.Capacity[key], ptr.Deref(d.AllowMultipleAllocations, false), at.Child("capacity").Key(shortened(string(key))))...)
	}
	errs = append(errs, taints(d.Taints, before, at.Child("taints"))...)
	consumed := at.Child("consumesCounters")
	errs = append(errs, each(d.ConsumesCounters, resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice, consumed,
		func(c *resourcev1.DeviceCounterConsumption, at *field.Path) field.ErrorList {
			return append(name(c.CounterSet, at.Child("counterSet")),
				counters(c.Counters, resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption, at.Child("counters"))...)
		})...)
	errs = append(errs, unique(d.ConsumesCounters, consumed, func(c *resourcev1.DeviceCounterConsumption) string { return c.CounterSet })...)
	errs = append(errs, devicePlace(d, placed, at)...)
	return append(errs, bindingConditions(d.BindingConditions, d.BindingFailureConditions, at)...)
}

// devicePlace: the slice says whether a device tells its own nodes.
func devicePlace(d *resourcev1.Device, placed bool, at *field.Path) field.ErrorList {
	if !placed {
		if d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil {
			return field.ErrorList{field.Invalid(at, nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")}
		}
		return nil
	}
	set, errs := places(d.NodeName, d.NodeSelector, d.AllNodes, "must not be empty", at)
	const one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	switch len(set) {
	case 0:
		errs = append(errs, field.Required(at, one))
	case 1:
	default:
		errs = append(errs, field.Invalid(at, fmt.Sprintf("{%s}", strings.Join(set, ", ")), one))
	}
	return errs
}

// shortened cuts the middle out of a key that would fill a message.
func shortened(key string) string {
	const most, gap = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength, "..."
	if len(key) <= most {
		return key
	}
	left := most - len(gap)
	return key[:(left+1)/2] + gap + key[len(key)-left/2:]
}

// semanticVersion is the form of https://semver.org, version 2.0.0.
var semanticVersion = sync.OnceValue(func() *regexp.Regexp {
	const number, word = `(0|[1-9]\d*)`, `[0-9a-zA-Z-]+`
	const before = `(` + number + `|\d*[a-zA-Z-][0-9a-zA-Z-]*)`
	return regexp.MustCompile(`^` + number + `\.` + number + `\.` + number + `(-` + before + `(\.` + before + `)*)?(\+` + word + `(\.` + word + `)*)?$`)
})

// attribute demands one value, of any of four types.
func attribute(a resourcev1.DeviceAttribute, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	values := 0
	for _, given := range []bool{a.BoolValue != nil, a.IntValue != nil, a.StringValue != nil, a.VersionValue != nil} {
		if given {
			values++
		}
	}
	tooLong := func(value *string, at *field.Path) {
		if len(*value) > resourcev1.DeviceAttributeMaxValueLength {
			errs = append(errs, field.TooLong(at, "", resourcev1.DeviceAttributeMaxValueLength))
		}
	}
	if a.StringValue != nil {
		tooLong(a.StringValue, at.Child("string"))
	}
	if v := a.VersionValue; v != nil {
		if !semanticVersion().MatchString(*v) {
			errs = append(errs, field.Invalid(at.Child("version"), *v, "must be a string compatible with semver.org spec 2.0.0"))
		}
		tooLong(v, at.Child("version"))
	}
	switch {
	case values == 0:
		errs = append(errs, field.Invalid(at, "", "exactly one value must be specified"))
	case values > 1:
		errs = append(errs, field.Invalid(at, a, "exactly one value must be specified"))
	}
	return errs
}

func taint(t *resourcev1.DeviceTaint, at *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelName(t.Key, at.Child("key"))
	if t.Value != "" {
		errs = append(errs, core.InvalidEach(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
	}
	return append(errs, effect(t.Effect, at.Child("effect"))...)
}

// capacity: only a device that several may have a part of says how it is divided (KEP-5075).
func capacity(c resourcev1.DeviceCapacity, shared bool, path *field.Path) field.ErrorList {
	policy, at := c.RequestPolicy, path.Child("requestPolicy")
	switch {
	case policy == nil:
		return nil
	case !shared:
		return field.ErrorList{field.Forbidden(at, "allowMultipleAllocations must be true")}
	case len(policy.ValidValues) > 0 && policy.ValidRange != nil:
		return field.ErrorList{field.Forbidden(at, `exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case len(policy.ValidValues) > 0:
		if policy.Default == nil {
			return field.ErrorList{field.Required(at.Child("default"), "required when validValues is defined")}
		}
		return portions(policy.ValidValues, *policy.Default, c.Value, at.Child("validValues"))
	case policy.ValidRange != nil:
		if policy.Default == nil {
			return field.ErrorList{field.Required(at.Child("default"), "required when validRange is defined")}
		}
		return portionRange(policy.ValidRange, *policy.Default, c.Value, at.Child("validRange"))
	}
	return nil
}

// maxPortions is how many amounts may be listed.
const maxPortions = 10

// portions checks a list of amounts, the default among them.
func portions(values []resource.Quantity, standard, whole resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := 1; i < len(values); i++ {
		if values[i-1].Cmp(values[i]) > 0 {
			errs = append(errs, field.Invalid(path.Index(i), values[i].String(), "values must be sorted in ascending order"))
		}
	}
	found := false
	more := each(values, maxPortions, path, func(v *resource.Quantity, at *field.Path) field.ErrorList {
		found = found || v.Cmp(standard) == 0
		if v.Cmp(whole) > 0 {
			return field.ErrorList{field.Invalid(at, v.String(), "option is larger than capacity value: "+whole.String())}
		}
		return nil
	})
	errs = append(errs, more...)
	if len(values) <= maxPortions {
		errs = append(errs, unique(values, path, func(v *resource.Quantity) string { return fmt.Sprint(v.Value()) })...)
	}
	if !found {
		errs = append(errs, field.Invalid(path, standard.String(), "default value is not valid according to the requestPolicy"))
	}
	return errs
}

// portionRange checks amounts from a least one on, in steps, up to a most.
func portionRange(r *resourcev1.CapacityRequestPolicyRange, standard, whole resource.Quantity, path *field.Path) field.ErrorList {
	if r.Min == nil {
		return field.ErrorList{field.Required(path.Child("min"), "required when validRange is defined")}
	}
	var errs field.ErrorList
	wrong := func(bad bool, child string, value resource.Quantity, what string, than resource.Quantity) {
		if bad {
			errs = append(errs, field.Invalid(path.Child(child), value.String(), what+": "+than.String()))
		}
	}
	wrong(r.Min.Cmp(whole) > 0, "min", *r.Min, "min is larger than capacity value", whole)
	wrong(standard.Cmp(*r.Min) < 0, "min", standard, "default is less than min", *r.Min)
	if r.Max != nil {
		wrong(r.Min.Cmp(*r.Max) > 0, "max", *r.Min, "min is larger than max", *r.Max)
		wrong(r.Max.Cmp(whole) > 0, "max", *r.Max, "max is larger than capacity value", whole)
		wrong(standard.Cmp(*r.Max) > 0, "max", standard, "default is more than max", *r.Max)
	}
	if r.Step == nil {
		return errs
	}
	next := r.Min.DeepCopy()
	next.Add(*r.Step)
	wrong(next.Cmp(whole) > 0, "step", *r.Step, "one step "+next.String()+" is larger than capacity value", whole)
	errs = append(errs, onStep(standard, r, path.Child("step"))...)
	if r.Max != nil {
		errs = append(errs, onStep(*r.Max, r, path.Child("step"))...)
	}
	return errs
}

func onStep(value resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, at *field.Path) field.ErrorList {
	if step := r.Step.Value(); step != 0 && (value.Value()-r.Min.Value())%step == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value.String(), fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", r.Step.String(), r.Min.String()))}
}

// bindingConditions are what a binding waits for, or fails by: of each some, or of both none (KEP-5007).
func bindingConditions(wait, fail []string, path *field.Path) field.ErrorList {
	one, other := path.Child("bindingConditions"), path.Child("bindingFailureConditions")
	label := func(s *string, at *field.Path) field.ErrorList { return metav1validation.ValidateLabelName(*s, at) }
	errs := each(wait, resourcev1.BindingConditionsMaxSize, one, label)
	errs = append(errs, each(fail, resourcev1.BindingFailureConditionsMaxSize, other, label)...)
	errs = append(errs, unique(wait, one, same)...)
	errs = append(errs, unique(fail, other, same)...)
	for i, condition := range fail {
		if slices.Contains(wait, condition) {
			errs = append(errs, field.Invalid(other.Index(i), condition, "bindingFailureConditions must not overlap with bindingConditions"))
		}
	}
	if len(wait) == 0 && len(fail) > 0 {
		errs = append(errs, field.Invalid(one, wait, "bindingConditions are required to use bindingFailureConditions"))
	}
	if len(fail) == 0 && len(wait) > 0 {
		errs = append(errs, field.Invalid(other, fail, "bindingFailureConditions are required to use bindingConditions"))
	}
	return errs
}

package autoscaling

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

// sources are the kinds of metrics, and the fields that describe each.
var sources = []struct {
	kind  autoscalingv2.MetricSourceType
	field string
	check func(*autoscalingv2.MetricSpec, *field.Path) (field.ErrorList, bool)
}{
	{autoscalingv2.ObjectMetricSourceType, "object", objectMetric},
	{autoscalingv2.ExternalMetricSourceType, "external", externalMetric},
	{autoscalingv2.PodsMetricSourceType, "pods", podsMetric},
	{autoscalingv2.ResourceMetricSourceType, "resource", resourceMetric},
	{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", containerMetric},
}

func metrics(list []autoscalingv2.MetricSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, metric(&list[i], at.Index(i))...)
	}
	return errs
}

// metric checks the first source given, and that it is the only one and the one that the type names.
func metric(spec *autoscalingv2.MetricSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Type == "" {
		errs = append(errs, field.Required(at.Child("type"), "must specify a metric source type"))
	}
	var kinds []autoscalingv2.MetricSourceType
	var missing, extra field.ErrorList
	first := true
	for _, source := range sources {
		kinds = append(kinds, source.kind)
		wrong, given := source.check(spec, at.Child(source.field))
		if given && first {
			errs, first = append(errs, wrong...), false
		}
		switch {
		case source.kind == spec.Type && !given:
			missing = append(missing, field.Required(at.Child(source.field), "must populate information for the given metric source"))
		case source.kind != spec.Type && given:
			extra = append(extra, field.Forbidden(at.Child(source.field), "must populate the given metric source only"))
		}
	}
	if !slices.Contains(kinds, spec.Type) {
		slices.Sort(kinds)
		return append(errs, field.NotSupported(at.Child("type"), spec.Type, kinds))
	}
	return append(append(errs, missing...), extra...)
}

func objectMetric(spec *autoscalingv2.MetricSpec, at *field.Path) (field.ErrorList, bool) {
	m := spec.Object
	if m == nil {
		return nil, false
	}
	errs := scaled(m.DescribedObject, at.Child("describedObject"))
	errs = append(errs, identified(m.Metric, at.Child("metric"))...)
	errs = append(errs, wanted(&m.Target, at.Child("target"))...)
	if m.Target.Value == nil && m.Target.AverageValue == nil {
		errs = append(errs, field.Required(at.Child("target", "averageValue"), "must set either a target value or averageValue"))
	}
	return errs, true
}

func externalMetric(spec *autoscalingv2.MetricSpec, at *field.Path) (field.ErrorList, bool) {
	m := spec.External
	if m == nil {
		return nil, false
	}
	errs := identified(m.Metric, at.Child("metric"))
	errs = append(errs, wanted(&m.Target, at.Child("target"))...)
	switch total, each := m.Target.Value != nil, m.Target.AverageValue != nil; {
	case !total && !each:
		errs = append(errs, field.Required(at.Child("target", "averageValue"), "must set either a target value for metric or a per-pod target"))
	case total && each:
		errs = append(errs, field.Forbidden(at.Child("target", "value"), "may not set both a target value for metric and a per-pod target"))
	}
	return errs, true
}

func podsMetric(spec *autoscalingv2.MetricSpec, at *field.Path) (field.ErrorList, bool) {
	m := spec.Pods
	if m == nil {
		return nil, false
	}
	errs := identified(m.Metric, at.Child("metric"))
	errs = append(errs, wanted(&m.Target, at.Child("target"))...)
	if m.Target.AverageValue == nil {
		errs = append(errs, field.Required(at.Child("target", "averageValue"), "must specify a positive target averageValue"))
	}
	return errs, true
}

func resourceMetric(spec *autoscalingv2.MetricSpec, at *field.Path) (field.ErrorList, bool) {
	if spec.Resource == nil {
		return nil, false
	}
	var errs field.ErrorList
	if spec.Resource.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "must specify a resource name"))
	}
	return append(errs, rawOrShare(&spec.Resource.Target, at.Child("target"))...), true
}

func containerMetric(spec *autoscalingv2.MetricSpec, at *field.Path) (field.ErrorList, bool) {
	m := spec.ContainerResource
	if m == nil {
		return nil, false
	}
	var errs field.ErrorList
	if m.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "must specify a resource name"))
	} else {
		errs = append(errs, core.ContainerResource(m.Name, at.Child("name"))...)
	}
	if m.Container == "" {
		errs = append(errs, field.Required(at.Child("container"), "must specify a container"))
	} else {
		errs = append(errs, core.DNSLabel(m.Container, at.Child("container"))...)
	}
	return append(errs, rawOrShare(&m.Target, at.Child("target"))...), true
}

// rawOrShare: what is wanted of a resource is an amount, or a share of what pods ask for.
func rawOrShare(t *autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	errs := wanted(t, at)
	switch raw, share := t.AverageValue != nil, t.AverageUtilization != nil; {
	case !raw && !share:
		errs = append(errs, field.Required(at.Child("averageUtilization"), "must set either a target raw value or a target utilization"))
	case raw && share:
		errs = append(errs, field.Forbidden(at.Child("averageValue"), "may not set both a target raw value and a target utilization"))
	}
	return errs
}

func identified(id autoscalingv2.MetricIdentifier, at *field.Path) field.ErrorList {
	return segment(id.Name, "must specify a metric name", at.Child("name"))
}

func wanted(t *autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Type == "" {
		errs = append(errs, field.Required(at.Child("type"), "must specify a metric target type"))
	}
	switch t.Type {
	case autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType:
	default:
		errs = append(errs, field.Invalid(at.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue"))
	}
	positive := func(q *resource.Quantity, name string) {
		if q != nil && q.Sign() != 1 {
			errs = append(errs, field.Invalid(at.Child(name), q, "must be positive"))
		}
	}
	positive(t.Value, "value")
	positive(t.AverageValue, "averageValue")
	if share := t.AverageUtilization; share != nil && *share < 1 {
		errs = append(errs, field.Invalid(at.Child("averageUtilization"), share, "must be greater than 0"))
	}
	return errs
}

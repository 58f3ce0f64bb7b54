package apps

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource/core"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

// selection checks a workload's selector, and its template against it. Upstream says "deployment" of replica sets too.
func selection(selector *metav1.LabelSelector, template *corev1.PodTemplateSpec, kind, templateKind string) field.ErrorList {
	errs, ok := selects(selector, template, kind)
	if !ok {
		return errs
	}
	path := specPath.Child("template")
	errs = append(errs, core.ValidatePodTemplate(template, path)...)
	return append(errs, core.KeepsRunning(&template.Spec, templateKind, path.Child("spec"))...)
}

// selects checks a selector, and that it selects the template's labels. False means that it cannot be read.
func selects(selector *metav1.LabelSelector, template *corev1.PodTemplateSpec, kind string) (field.ErrorList, bool) {
	var errs field.ErrorList
	at := specPath.Child("selector")
	if selector != nil {
		errs = append(errs, core.LabelSelector(selector, at)...)
		if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(at, selector, "empty selector is invalid for "+kind))
		}
	} else if kind != "daemonset" {
		errs = append(errs, field.Required(at, "")) // upstream says of a DaemonSet only what follows from that
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return append(errs, field.Invalid(at, selector, "invalid label selector")), false
	}
	if !parsed.Empty() && !parsed.Matches(labels.Set(template.Labels)) {
		errs = append(errs, field.Invalid(specPath.Child("template", "metadata", "labels"), template.Labels, "`selector` does not match template `labels`"))
	}
	return errs, true
}

// selectorUpdate: pods that a workload no longer selects would be orphans.
func selectorUpdate(now, old *metav1.LabelSelector) field.ErrorList {
	return core.Immutable(now, old, specPath.Child("selector"))
}

func nonNegativeIfSet(n *int32, path *field.Path) field.ErrorList {
	if n == nil {
		return nil
	}
	return core.NonNegative(*n, path)
}

// share checks a number of pods or a percentage of them.
func share(s *intstr.IntOrString, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	if s.Type == intstr.Int {
		return core.NonNegative(s.IntVal, path)
	}
	var errs field.ErrorList
	for _, m := range validation.IsValidPercent(s.StrVal) {
		errs = append(errs, field.Invalid(path, *s, m))
	}
	return errs
}

// amount is the number in a share, of pods or of hundredths.
func amount(s *intstr.IntOrString) int {
	if s == nil {
		return 0
	}
	if n, percent := percentage(s); percent {
		return n
	}
	return s.IntValue()
}

func percentage(s *intstr.IntOrString) (int, bool) {
	if s == nil || s.Type != intstr.String || len(validation.IsValidPercent(s.StrVal)) > 0 {
		return 0, false
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(s, 100, false)
	return n, err == nil
}

func atMostAll(s *intstr.IntOrString, path *field.Path) field.ErrorList {
	if n, percent := percentage(s); percent && n > 100 {
		return field.ErrorList{field.Invalid(path, *s, "must not be greater than 100%")}
	}
	return nil
}

func notDecremented(now, old *int32) field.ErrorList {
	if old == nil || now != nil && *now >= *old {
		return nil
	}
	value := int32(0)
	if now != nil {
		value = *now
	}
	return field.ErrorList{field.Invalid(statusPath.Child("collisionCount"), value, "cannot be decremented")}
}

// partOf checks a count against the count of what it is a part of.
func partOf(count int32, name string, all int32, of string) field.ErrorList {
	errs := core.NonNegative(count, statusPath.Child(name))
	if count > all {
		errs = append(errs, field.Invalid(statusPath.Child(name), count, "cannot be greater than "+of))
	}
	return errs
}

// warnTemplate warns about a pod template, and on create about a name that hosts cannot have.
func warnTemplate(name string, template, old *corev1.PodTemplateSpec) []string {
	var warnings []string
	if old == nil {
		warnings = core.WarnName(name)
	}
	return append(warnings, core.WarnTemplate(template, old, specPath.Child("template"))...)
}

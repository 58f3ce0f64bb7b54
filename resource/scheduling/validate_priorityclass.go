package scheduling

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

// The highest value that users may give; what lies above is the system's.
const (
	highestUserPriority = 1_000_000_000
	systemPrefix        = "system-"
)

var systemClasses = map[string]int32{
	"system-cluster-critical": 2 * highestUserPriority,
	"system-node-critical":    2*highestUserPriority + 1000,
}

func validatePriorityClass(_ *resource.Request, class *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if strings.HasPrefix(class.Name, systemPrefix) {
		if why := notSystem(class); why != "" {
			errs = append(errs, field.Forbidden(field.NewPath("metadata", "name"),
				"priority class names with 'system-' prefix are reserved for system use only. error: "+why))
		}
	} else if class.Value > highestUserPriority {
		errs = append(errs, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %v", highestUserPriority)))
	}
	if policy := class.PreemptionPolicy; policy != nil {
		errs = append(errs, core.OneOf(*policy, field.NewPath("preemptionPolicy"), corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	return errs
}

// notSystem says why a class is none of the system's own.
func notSystem(class *schedulingv1.PriorityClass) string {
	value, known := systemClasses[class.Name]
	switch {
	case !known:
		return class.Name + " is not a known system priority class"
	case class.Value != value:
		return fmt.Sprintf("value of %v PriorityClass must be %v", class.Name, value)
	case class.GlobalDefault:
		return fmt.Sprintf("globalDefault of %v PriorityClass must be false", class.Name)
	}
	return ""
}

// validatePriorityClassUpdate: pods carry the value that the class had, so it stays.
func validatePriorityClassUpdate(_ *resource.Request, class, old *schedulingv1.PriorityClass) field.ErrorList {
	var errs field.ErrorList
	if class.Value != old.Value {
		errs = append(errs, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(errs, core.Immutable(class.PreemptionPolicy, old.PreemptionPolicy, field.NewPath("preemptionPolicy"))...)
}

package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateDaemonSet(_ *resource.Request, ds *appsv1.DaemonSet) field.ErrorList {
	errs := selection(ds.Spec.Selector, &ds.Spec.Template, "daemonset", "DaemonSet")
	errs = append(errs, core.NonNegative(ds.Spec.MinReadySeconds, specPath.Child("minReadySeconds"))...)
	errs = append(errs, daemonSetStrategy(&ds.Spec.UpdateStrategy, specPath.Child("updateStrategy"))...)
	return append(errs, nonNegativeIfSet(ds.Spec.RevisionHistoryLimit, specPath.Child("revisionHistoryLimit"))...)
}

func daemonSetStrategy(s *appsv1.DaemonSetUpdateStrategy, path *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
	default:
		return field.ErrorList{field.NotSupported(path, *s,
			[]appsv1.DaemonSetUpdateStrategyType{appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})}
	}
	rolling, at := s.RollingUpdate, path.Child("rollingUpdate")
	if rolling == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	unavailable, surge := at.Child("maxUnavailable"), at.Child("maxSurge")
	errs := append(share(rolling.MaxUnavailable, unavailable), share(rolling.MaxSurge, surge)...)
	errs = append(errs, atMostAll(rolling.MaxUnavailable, unavailable)...)
	errs = append(errs, atMostAll(rolling.MaxSurge, surge)...)
	switch down, up := amount(rolling.MaxUnavailable) != 0, amount(rolling.MaxSurge) != 0; {
	case down && up:
		errs = append(errs, field.Invalid(surge, rolling.MaxSurge, "may not be set when maxUnavailable is non-zero"))
	case !down && !up:
		errs = append(errs, field.Required(unavailable, "cannot be 0 when maxSurge is 0"))
	}
	return errs
}

func validateDaemonSetUpdate(r *resource.Request, ds, old *appsv1.DaemonSet) field.ErrorList {
	return append(validateDaemonSet(r, ds), selectorUpdate(ds.Spec.Selector, old.Spec.Selector)...)
}

func validateDaemonSetStatus(_ *resource.Request, ds, old *appsv1.DaemonSet) field.ErrorList {
	s := &ds.Status
	errs := core.NonNegative(s.ObservedGeneration, statusPath.Child("observedGeneration"))
	for _, count := range []struct {
		name  string
		value int32
	}{
		{"currentNumberScheduled", s.CurrentNumberScheduled}, {"numberMisscheduled", s.NumberMisscheduled},
		{"desiredNumberScheduled", s.DesiredNumberScheduled}, {"numberReady", s.NumberReady},
		{"updatedNumberScheduled", s.UpdatedNumberScheduled}, {"numberAvailable", s.NumberAvailable},
		{"numberUnavailable", s.NumberUnavailable},
	} {
		errs = append(errs, core.NonNegative(count.value, statusPath.Child(count.name))...)
	}
	errs = append(errs, nonNegativeIfSet(s.CollisionCount, statusPath.Child("collisionCount"))...)
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount)...)
}

func warnDaemonSet(_ *resource.Request, ds, old *appsv1.DaemonSet) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Spec.Template
	}
	return core.WarnTemplate(&ds.Spec.Template, before, specPath.Child("template"))
}

package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateDeployment(_ *resource.Request, d *appsv1.Deployment) field.ErrorList {
	spec := &d.Spec
	errs := nonNegativeIfSet(spec.Replicas, specPath.Child("replicas"))
	errs = append(errs, selection(spec.Selector, &spec.Template, "deployment", "ReplicaSet")...)
	errs = append(errs, deploymentStrategy(&spec.Strategy, specPath.Child("strategy"))...)
	errs = append(errs, core.NonNegative(spec.MinReadySeconds, specPath.Child("minReadySeconds"))...)
	errs = append(errs, nonNegativeIfSet(spec.RevisionHistoryLimit, specPath.Child("revisionHistoryLimit"))...)
	if deadline := spec.ProgressDeadlineSeconds; deadline != nil {
		at := specPath.Child("progressDeadlineSeconds")
		errs = append(errs, core.NonNegative(*deadline, at)...)
		if *deadline <= spec.MinReadySeconds {
			errs = append(errs, field.Invalid(at, *deadline, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func deploymentStrategy(s *appsv1.DeploymentStrategy, path *field.Path) field.ErrorList {
	rolling, at := s.RollingUpdate, path.Child("rollingUpdate")
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if rolling != nil {
			return field.ErrorList{field.Forbidden(at, "may not be specified when strategy `type` is 'Recreate'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
	default:
		return field.ErrorList{field.NotSupported(path, *s,
			[]appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType})}
	}
	if rolling == nil {
		return field.ErrorList{field.Required(at, "this should be defaulted and never be nil")}
	}
	errs := share(rolling.MaxUnavailable, at.Child("maxUnavailable"))
	errs = append(errs, share(rolling.MaxSurge, at.Child("maxSurge"))...)
	if amount(rolling.MaxUnavailable) == 0 && amount(rolling.MaxSurge) == 0 {
		errs = append(errs, field.Invalid(at.Child("maxUnavailable"), rolling.MaxUnavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, atMostAll(rolling.MaxUnavailable, at.Child("maxUnavailable"))...)
}

func validateDeploymentUpdate(r *resource.Request, d, old *appsv1.Deployment) field.ErrorList {
	return append(validateDeployment(r, d), selectorUpdate(d.Spec.Selector, old.Spec.Selector)...)
}

func validateDeploymentStatus(_ *resource.Request, d, old *appsv1.Deployment) field.ErrorList {
	s := &d.Status
	errs := core.NonNegative(s.ObservedGeneration, statusPath.Child("observedGeneration"))
	errs = append(errs, core.NonNegative(s.Replicas, statusPath.Child("replicas"))...)
	errs = append(errs, partOf(s.UpdatedReplicas, "updatedReplicas", s.Replicas, "status.replicas")...)
	errs = append(errs, partOf(s.ReadyReplicas, "readyReplicas", s.Replicas, "status.replicas")...)
	errs = append(errs, partOf(s.AvailableReplicas, "availableReplicas", s.Replicas, "status.replicas")...)
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(statusPath.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	errs = append(errs, core.NonNegative(s.UnavailableReplicas, statusPath.Child("unavailableReplicas"))...)
	errs = append(errs, nonNegativeIfSet(s.TerminatingReplicas, statusPath.Child("terminatingReplicas"))...)
	errs = append(errs, nonNegativeIfSet(s.CollisionCount, statusPath.Child("collisionCount"))...)
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount)...)
}

func warnDeployment(_ *resource.Request, d, old *appsv1.Deployment) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Spec.Template
	}
	return warnTemplate(d.Name, &d.Spec.Template, before)
}

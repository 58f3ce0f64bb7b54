package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateStatefulSet(_ *resource.Request, s *appsv1.StatefulSet) field.ErrorList {
	return checkStatefulSet(&s.Spec, tolerated{})
}

// tolerated is what may be wrong with a StatefulSet that is stored already: what cannot be changed any more, and a template that servers
// before v1.35 let in, so that other fields can be.
type tolerated struct{ template, fixed bool }

func checkStatefulSet(spec *appsv1.StatefulSetSpec, old tolerated) field.ErrorList {
	var errs field.ErrorList
	switch at := specPath.Child("podManagementPolicy"); spec.PodManagementPolicy {
	case "":
		errs = append(errs, field.Required(at, ""))
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
	default:
		errs = append(errs, field.Invalid(at, spec.PodManagementPolicy,
			fmt.Sprintf("must be '%s' or '%s'", appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)))
	}
	errs = append(errs, statefulSetStrategy(&spec.UpdateStrategy, specPath.Child("updateStrategy"))...)
	errs = append(errs, retention(spec.PersistentVolumeClaimRetentionPolicy, specPath.Child("persistentVolumeClaimRetentionPolicy"))...)
	if !old.fixed {
		for i := range spec.VolumeClaimTemplates {
			errs = append(errs, core.ValidateClaimSpec(&spec.VolumeClaimTemplates[i].Spec, specPath.Child("volumeClaimTemplates").Index(i).Child("spec"))...)
		}
	}
	errs = append(errs, nonNegativeIfSet(spec.Replicas, specPath.Child("replicas"))...)
	errs = append(errs, core.NonNegative(spec.MinReadySeconds, specPath.Child("minReadySeconds"))...)
	if spec.Ordinals != nil {
		errs = append(errs, core.NonNegative(spec.Ordinals.Start, specPath.Child("ordinals", "start"))...)
	}
	if spec.ServiceName != "" && !old.fixed {
		errs = append(errs, core.DNSLabel(spec.ServiceName, specPath.Child("serviceName"))...)
	}
	wrong, selects := selects(spec.Selector, &spec.Template, "statefulset")
	errs = append(errs, wrong...)
	path := specPath.Child("template")
	switch {
	case !selects:
	case old.template:
		errs = append(errs, core.ValidateTemplateMeta(&spec.Template, path)...)
	default:
		errs = append(errs, core.ValidatePodTemplate(completed(spec), path)...)
	}
	return append(errs, core.KeepsRunning(&spec.Template.Spec, "StatefulSet", path.Child("spec"))...)
}

// completed is the template as Pods are made of it: the controller gives them their names and the volumes of their claims.
func completed(spec *appsv1.StatefulSetSpec) *corev1.PodTemplateSpec {
	template := spec.Template
	template.Spec.Hostname, template.Spec.Subdomain = "", ""
	if len(spec.VolumeClaimTemplates) == 0 {
		return &template
	}
	claimed := map[string]bool{}
	var volumes []corev1.Volume
	for i := range spec.VolumeClaimTemplates {
		name := spec.VolumeClaimTemplates[i].Name
		if claimed[name] {
			continue // the last one of a name counts, as far as its volume is concerned they are alike
		}
		claimed[name] = true
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name},
		}})
	}
	for _, own := range template.Spec.Volumes {
		if !claimed[own.Name] {
			volumes = append(volumes, own)
		}
	}
	template.Spec.Volumes = volumes
	return &template
}

func statefulSetStrategy(s *appsv1.StatefulSetUpdateStrategy, path *field.Path) field.ErrorList {
	rolling, at := s.RollingUpdate, path.Child("rollingUpdate")
	switch s.Type {
	case "":
		return field.ErrorList{field.Required(path, "")}
	case appsv1.OnDeleteStatefulSetStrategyType:
		if rolling != nil {
			return field.ErrorList{field.Invalid(at, rolling,
				fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType))}
		}
		return nil
	case appsv1.RollingUpdateStatefulSetStrategyType:
	default:
		return field.ErrorList{field.Invalid(path, *s,
			fmt.Sprintf("must be '%s' or '%s'", appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType))}
	}
	if rolling == nil {
		return nil
	}
	errs := nonNegativeIfSet(rolling.Partition, at.Child("partition"))
	if most := rolling.MaxUnavailable; most != nil {
		unavailable := at.Child("maxUnavailable")
		errs = append(errs, share(most, unavailable)...)
		if amount(most) == 0 {
			errs = append(errs, field.Invalid(unavailable, *most, "cannot be 0"))
		}
		errs = append(errs, atMostAll(most, unavailable)...)
	}
	return errs
}

func retention(p *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	allowed := []appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.DeletePersistentVolumeClaimRetentionPolicyType, appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
	}
	var errs field.ErrorList
	for _, when := range []struct {
		name  string
		value appsv1.PersistentVolumeClaimRetentionPolicyType
	}{{"whenDeleted", p.WhenDeleted}, {"whenScaled", p.WhenScaled}} {
		if when.value != allowed[0] && when.value != allowed[1] {
			errs = append(errs, field.NotSupported(path.Child(when.name), when.value, allowed))
		}
	}
	return errs
}

// validateStatefulSetUpdate: what pods and claims are named after stays.
func validateStatefulSetUpdate(_ *resource.Request, s, old *appsv1.StatefulSet) field.ErrorList {
	before := tolerated{fixed: true}
	before.template = len(checkStatefulSet(&old.Spec, before)) > 0
	errs := checkStatefulSet(&s.Spec, before)
	rest := s.Spec // what may change is made equal
	rest.Replicas, rest.Ordinals, rest.Template = old.Spec.Replicas, old.Spec.Ordinals, old.Spec.Template
	rest.UpdateStrategy, rest.RevisionHistoryLimit = old.Spec.UpdateStrategy, old.Spec.RevisionHistoryLimit
	rest.MinReadySeconds, rest.PersistentVolumeClaimRetentionPolicy = old.Spec.MinReadySeconds, old.Spec.PersistentVolumeClaimRetentionPolicy
	if !apiequality.Semantic.DeepEqual(rest, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "+
			"'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
	}
	return errs
}

func validateStatefulSetStatus(_ *resource.Request, set, old *appsv1.StatefulSet) field.ErrorList {
	s := &set.Status
	errs := core.NonNegative(s.Replicas, statusPath.Child("replicas"))
	errs = append(errs, partOf(s.ReadyReplicas, "readyReplicas", s.Replicas, "status.replicas")...)
	errs = append(errs, partOf(s.CurrentReplicas, "currentReplicas", s.Replicas, "status.replicas")...)
	errs = append(errs, partOf(s.UpdatedReplicas, "updatedReplicas", s.Replicas, "status.replicas")...)
	errs = append(errs, partOf(s.AvailableReplicas, "availableReplicas", s.Replicas, "status.replicas")...)
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(statusPath.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than status.readyReplicas"))
	}
	errs = append(errs, core.NonNegative(s.ObservedGeneration, statusPath.Child("observedGeneration"))...)
	errs = append(errs, nonNegativeIfSet(s.CollisionCount, statusPath.Child("collisionCount"))...)
	return append(errs, notDecremented(s.CollisionCount, old.Status.CollisionCount)...)
}

func warnStatefulSet(_ *resource.Request, s, old *appsv1.StatefulSet) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Spec.Template
	}
	warnings := core.WarnTemplate(&s.Spec.Template, before, specPath.Child("template"))
	for i := range s.Spec.VolumeClaimTemplates {
		if old == nil {
			warnings = append(warnings, core.WarnClaim(&s.Spec.VolumeClaimTemplates[i].Spec, specPath.Child("volumeClaimTemplates").Index(i))...)
		}
	}
	if limit := s.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
		warnings = append(warnings, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return warnings
}

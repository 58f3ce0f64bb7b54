package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateReplicaSet(_ *resource.Request, rs *appsv1.ReplicaSet) field.ErrorList {
	errs := nonNegativeIfSet(rs.Spec.Replicas, specPath.Child("replicas"))
	errs = append(errs, core.NonNegative(rs.Spec.MinReadySeconds, specPath.Child("minReadySeconds"))...)
	return append(errs, selection(rs.Spec.Selector, &rs.Spec.Template, "deployment", "ReplicaSet")...)
}

func validateReplicaSetUpdate(r *resource.Request, rs, old *appsv1.ReplicaSet) field.ErrorList {
	return append(validateReplicaSet(r, rs), selectorUpdate(rs.Spec.Selector, old.Spec.Selector)...)
}

func validateReplicaSetStatus(_ *resource.Request, rs, _ *appsv1.ReplicaSet) field.ErrorList {
	s := &rs.Status
	errs := core.ReplicaCounts(s.ObservedGeneration, s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, statusPath)
	return append(errs, nonNegativeIfSet(s.TerminatingReplicas, statusPath.Child("terminatingReplicas"))...)
}

func warnReplicaSet(_ *resource.Request, rs, old *appsv1.ReplicaSet) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Spec.Template
	}
	return warnTemplate(rs.Name, &rs.Spec.Template, before)
}

func validateControllerRevision(_ *resource.Request, r *appsv1.ControllerRevision) field.ErrorList {
	var errs field.ErrorList
	if r.Data.Raw == nil && r.Data.Object == nil {
		errs = append(errs, field.Required(field.NewPath("data"), "data is mandatory"))
	}
	return append(errs, core.NonNegative(r.Revision, field.NewPath("revision"))...)
}

func validateControllerRevisionUpdate(req *resource.Request, r, old *appsv1.ControllerRevision) field.ErrorList {
	return append(validateControllerRevision(req, r), core.Immutable(r.Data, old.Data, field.NewPath("data"))...)
}

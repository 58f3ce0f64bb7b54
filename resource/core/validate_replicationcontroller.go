package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

func validateReplicationController(_ *resource.Request, rc *corev1.ReplicationController) field.ErrorList {
	spec := &rc.Spec
	errs := NonNegative(spec.MinReadySeconds, specPath.Child("minReadySeconds"))
	if len(spec.Selector) == 0 {
		errs = append(errs, field.Required(specPath.Child("selector"), ""))
	}
	if spec.Replicas == nil {
		errs = append(errs, field.Required(specPath.Child("replicas"), ""))
	} else {
		errs = append(errs, NonNegative(*spec.Replicas, specPath.Child("replicas"))...)
	}
	path := specPath.Child("template")
	if spec.Template == nil {
		return append(errs, field.Required(path, ""))
	}
	if selector := labels.Set(spec.Selector).AsSelector(); !selector.Empty() && !selector.Matches(labels.Set(spec.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("metadata", "labels"), spec.Template.Labels, "`selector` does not match template `labels`"))
	}
	errs = append(errs, ValidatePodTemplate(spec.Template, path)...)
	return append(errs, KeepsRunning(&spec.Template.Spec, "ReplicationController", path.Child("spec"))...)
}

// KeepsRunning checks pods of workloads that go on for ever.
func KeepsRunning(spec *corev1.PodSpec, kind string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported"))
	}
	return errs
}

func validateReplicationControllerUpdate(r *resource.Request, rc, _ *corev1.ReplicationController) field.ErrorList {
	return validateReplicationController(r, rc)
}

func validateReplicationControllerStatus(_ *resource.Request, rc, _ *corev1.ReplicationController) field.ErrorList {
	s := &rc.Status
	return ReplicaCounts(s.ObservedGeneration, s.Replicas, s.FullyLabeledReplicas, s.ReadyReplicas, s.AvailableReplicas, statusPath)
}

// ReplicaCounts checks counts of replicas: none is negative, and each is at most what it is a part of.
func ReplicaCounts(observed int64, replicas, labeled, ready, available int32, path *field.Path) field.ErrorList {
	errs := NonNegative(replicas, path.Child("replicas"))
	errs = append(errs, NonNegative(labeled, path.Child("fullyLabeledReplicas"))...)
	errs = append(errs, NonNegative(ready, path.Child("readyReplicas"))...)
	errs = append(errs, NonNegative(available, path.Child("availableReplicas"))...)
	errs = append(errs, NonNegative(observed, path.Child("observedGeneration"))...)
	const tooMany = "cannot be greater than status.replicas"
	if labeled > replicas {
		errs = append(errs, field.Invalid(path.Child("fullyLabeledReplicas"), labeled, tooMany))
	}
	if ready > replicas {
		errs = append(errs, field.Invalid(path.Child("readyReplicas"), ready, tooMany))
	}
	if available > replicas {
		errs = append(errs, field.Invalid(path.Child("availableReplicas"), available, tooMany))
	}
	if available > ready {
		errs = append(errs, field.Invalid(path.Child("availableReplicas"), available, "cannot be greater than readyReplicas"))
	}
	return errs
}

func warnReplicationController(_ *resource.Request, rc, old *corev1.ReplicationController) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = old.Spec.Template
	}
	var warnings []string
	if old == nil {
		warnings = WarnName(rc.Name)
	}
	return append(warnings, WarnTemplate(rc.Spec.Template, before, specPath.Child("template"))...)
}

func validatePodTemplate(_ *resource.Request, template *corev1.PodTemplate) field.ErrorList {
	return ValidatePodTemplate(&template.Template, field.NewPath("template"))
}

func validatePodTemplateUpdate(r *resource.Request, template, _ *corev1.PodTemplate) field.ErrorList {
	return validatePodTemplate(r, template)
}

func warnPodTemplate(_ *resource.Request, template, old *corev1.PodTemplate) []string {
	var before *corev1.PodTemplateSpec
	if old != nil {
		before = &old.Template
	}
	return WarnTemplate(&template.Template, before, field.NewPath("template"))
}

func validateBinding(_ *resource.Request, binding *corev1.Binding) field.ErrorList {
	path := field.NewPath("target")
	var errs field.ErrorList
	if kind := binding.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(path.Child("kind"), kind, []string{"Node", "<empty>"}))
	}
	return append(errs, given(binding.Target.Name, path.Child("name"))...)
}

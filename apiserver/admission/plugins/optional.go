package plugins

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource/core"
)

// alwaysPullImages makes kubelets ask the registry before every start, so that nobody runs an image on the strength of
// somebody else's pull. Off by default.
func alwaysPullImages(*Env) (admission.Plugin, error) {
	each := func(a *admission.Attributes, visit func(at *field.Path, policy *corev1.PullPolicy)) {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") && !is(a, "", "pods", "ephemeralcontainers") {
			return
		}
		if old, updating := a.OldObject.(*corev1.Pod); updating && slices.Equal(images(&pod.Spec), images(&old.Spec)) &&
			len(pod.Spec.EphemeralContainers) == len(old.Spec.EphemeralContainers) {
			return // nothing new to pull; other fields of what runs already cannot be changed
		}
		spec := field.NewPath("spec")
		for i := range pod.Spec.Containers {
			visit(spec.Child("containers").Index(i).Child("imagePullPolicy"), &pod.Spec.Containers[i].ImagePullPolicy)
		}
		for i := range pod.Spec.InitContainers {
			visit(spec.Child("initContainers").Index(i).Child("imagePullPolicy"), &pod.Spec.InitContainers[i].ImagePullPolicy)
		}
		for i := range pod.Spec.EphemeralContainers {
			visit(spec.Child("ephemeralContainers").Index(i).Child("imagePullPolicy"), &pod.Spec.EphemeralContainers[i].ImagePullPolicy)
		}
		for i := range pod.Spec.Volumes {
			if image := pod.Spec.Volumes[i].Image; image != nil {
				visit(spec.Child("volumes").Index(i).Child("image", "pullPolicy"), &image.PullPolicy)
			}
		}
	}
	admit := func(_ context.Context, a *admission.Attributes) error {
		each(a, func(_ *field.Path, policy *corev1.PullPolicy) { *policy = corev1.PullAlways })
		return nil
	}
	validate := func(_ context.Context, a *admission.Attributes) error {
		var errs field.ErrorList
		each(a, func(at *field.Path, policy *corev1.PullPolicy) {
			if *policy != corev1.PullAlways {
				errs = append(errs, field.NotSupported(at, *policy, []corev1.PullPolicy{corev1.PullAlways}))
			}
		})
		if len(errs) > 0 {
			return forbidden(a, errs.ToAggregate())
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Admit: admit, Validate: validate}, nil
}

// extendedResourceToleration lets Pods that ask for a device on to nodes that are tainted with its name, to keep others off. Off
// by default.
func extendedResourceToleration(*Env) (admission.Plugin, error) {
	admit := func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !is(a, "", "pods", "") {
			return nil
		}
		var names []string
		for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range containers {
				for name := range containers[i].Resources.Requests {
					if core.ExtendedResource(name) && !slices.Contains(names, string(name)) {
						names = append(names, string(name))
					}
				}
			}
		}
		slices.Sort(names)
		for _, name := range names {
			addToleration(pod, corev1.Toleration{Key: name, Operator: corev1.TolerationOpExists})
			a.Changed("tolerates %s", name)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Admit: admit}, nil
}

// denyExternalIPs refuses Services that would take traffic of an address that nobody gave them (CVE-2020-8554). Addresses that a
// Service has already may stay. Off by default.
func denyExternalIPs(*Env) (admission.Plugin, error) {
	validate := func(_ context.Context, a *admission.Attributes) error {
		service, ok := a.Object.(*corev1.Service)
		if !ok || !is(a, "", "services", "") {
			return nil
		}
		old, _ := a.OldObject.(*corev1.Service)
		for _, address := range service.Spec.ExternalIPs {
			if old == nil || !slices.Contains(old.Spec.ExternalIPs, address) {
				return apierrors.NewForbidden(groupResource(a), service.Name, errors.New("Use of external IPs is denied by admission control."))
			}
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Create, admission.Update}, Validate: validate}, nil
}

package core

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// validateEphemeralContainers checks that debugging containers were only added.
func validateEphemeralContainers(_ *resource.Request, pod, old *corev1.Pod) field.ErrorList {
	errs := podItself(pod)
	if _, static := old.Annotations[corev1.MirrorPodAnnotationKey]; static {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers"))
	}
	path := specPath.Child("ephemeralContainers")
	for _, before := range old.Spec.EphemeralContainers {
		i := slices.IndexFunc(pod.Spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == before.Name })
		if i < 0 {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", before.Name)))
			continue
		}
		if after := pod.Spec.EphemeralContainers[i]; !apiequality.Semantic.DeepEqual(before, after) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", before.Name, diff.Diff(before, after))))
		}
	}
	return errs
}

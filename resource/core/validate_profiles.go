package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Security profiles were annotations before they were fields. Old manifests still have them, and where there are both, they must
// mean the same.

// profileAnnotations checks the annotations by themselves.
func profileAnnotations(annotations map[string]string, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		value := annotations[key]
		if key == corev1.SeccompPodAnnotationKey || strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			errs = append(errs, seccompAnnotation(value, path.Child(key))...)
		}
		name, ok := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !ok {
			continue
		}
		if !hasContainer(spec, name) {
			errs = append(errs, field.Invalid(path.Key(key), name, "container not found"))
		}
		switch value {
		case "", corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		default:
			if !strings.HasPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix) {
				errs = append(errs, field.Invalid(path.Key(key), value, fmt.Sprintf("invalid AppArmor profile name: %q", value)))
			}
		}
	}
	return errs
}

func seccompAnnotation(value string, path *field.Path) field.ErrorList {
	switch value {
	case corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault, corev1.SeccompProfileNameUnconfined:
		return nil
	}
	if file, ok := strings.CutPrefix(value, corev1.SeccompLocalhostProfileNamePrefix); ok {
		return descendingPath(file, path)
	}
	return field.ErrorList{field.Invalid(path, value, "must be a valid seccomp profile")}
}

func hasContainer(spec *corev1.PodSpec, name string) bool {
	found := false
	eachContainer(spec, specPath, func(c *corev1.Container, _ *field.Path) { found = found || c.Name == name })
	return found
}

// profilesAgree checks a new pod's annotations against its fields.
func profilesAgree(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	var armor *corev1.AppArmorProfile
	if s := pod.Spec.SecurityContext; s != nil {
		armor = s.AppArmorProfile
		errs = append(errs, seccompAgrees(pod.Annotations, corev1.SeccompPodAnnotationKey, s.SeccompProfile, specPath.Child("securityContext"))...)
	}
	var later field.ErrorList
	windows := pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows
	eachContainer(&pod.Spec, specPath, func(c *corev1.Container, path *field.Path) {
		at, own := path.Child("securityContext"), armor
		if c.SecurityContext != nil {
			errs = append(errs, seccompAgrees(pod.Annotations, corev1.SeccompContainerAnnotationKeyPrefix+c.Name, c.SecurityContext.SeccompProfile, at)...)
			if c.SecurityContext.AppArmorProfile != nil {
				own = c.SecurityContext.AppArmorProfile
			}
		}
		if value, ok := pod.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]; ok && own != nil && !windows {
			later = append(later, agree("apparmor", value, profile{
				string(own.Type), own.LocalhostProfile, corev1.DeprecatedAppArmorBetaProfileNamePrefix,
				[]string{corev1.DeprecatedAppArmorBetaProfileRuntimeDefault}, corev1.DeprecatedAppArmorBetaProfileNameUnconfined,
			}, at.Child("appArmorProfile"))...)
		}
	})
	return append(errs, later...)
}

func seccompAgrees(annotations map[string]string, key string, p *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	value, ok := annotations[key]
	if !ok || p == nil {
		return nil
	}
	return agree("seccomp", value, profile{
		string(p.Type), p.LocalhostProfile, corev1.SeccompLocalhostProfileNamePrefix,
		[]string{corev1.SeccompProfileRuntimeDefault, corev1.DeprecatedSeccompProfileDockerDefault}, corev1.SeccompProfileNameUnconfined,
	}, path.Child("seccompProfile"))
}

// profile is a field, and what an annotation would say in its place.
type profile struct {
	kind       string // Localhost, RuntimeDefault or Unconfined
	file       *string
	prefix     string // of the file
	standard   []string
	unconfined string
}

func agree(what, annotation string, p profile, path *field.Path) field.ErrorList {
	same := true
	switch p.kind {
	case "Unconfined":
		same = annotation == p.unconfined
	case "RuntimeDefault":
		same = slices.Contains(p.standard, annotation)
	case "Localhost":
		file, ok := strings.CutPrefix(annotation, p.prefix)
		if ok && (p.file == nil || *p.file != file) {
			return field.ErrorList{field.Forbidden(path.Child("localhostProfile"), what+" profile in annotation and field must match")}
		}
		same = ok
	}
	if same {
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child("type"), what+" type in annotation and field must match")}
}

package core

import (
	"reflect"
	"slices"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// forEphemeral are the fields that a debugging container may use: it must not become part of the workload.
var forEphemeral = []string{
	"Name", "Image", "Command", "Args", "WorkingDir", "EnvFrom", "Env", "VolumeMounts", "VolumeDevices",
	"TerminationMessagePath", "TerminationMessagePolicy", "ImagePullPolicy", "SecurityContext", "Stdin", "StdinOnce", "TTY",
}

const notEphemeral = "cannot be set for an Ephemeral Container"

// ephemeralContainers checks spec.ephemeralContainers (KEP-277).
func (c *podCheck) ephemeralContainers(path *field.Path) field.ErrorList {
	if len(c.spec.EphemeralContainers) == 0 {
		return nil
	}
	others := sets.New[string]()
	for i := range c.spec.Containers {
		others.Insert(c.spec.Containers[i].Name)
	}
	for i := range c.spec.InitContainers {
		others.Insert(c.spec.InitContainers[i].Name)
	}
	all := others.Clone()
	var errs field.ErrorList
	for i := range c.spec.EphemeralContainers {
		ephemeral, at := &c.spec.EphemeralContainers[i], path.Index(i)
		container := corev1.Container(ephemeral.EphemeralContainerCommon)
		errs = append(errs, c.container(&container, at)...)
		errs = append(errs, trimmedImage(container.Image, at)...)
		if all.Has(container.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), container.Name))
		}
		all.Insert(container.Name)
		if target := ephemeral.TargetContainerName; target != "" && !others.Has(target) {
			errs = append(errs, field.NotFound(at.Child("targetContainerName"), target))
		}
		errs = append(errs, onlyFields(ephemeral.EphemeralContainerCommon, forEphemeral, notEphemeral, at)...)
		// Bind mounts of subpaths would be left behind until the pod ends.
		for j, mount := range container.VolumeMounts {
			if mount.SubPath != "" {
				errs = append(errs, field.Forbidden(at.Child("volumeMounts").Index(j).Child("subPath"), notEphemeral))
			}
			if mount.SubPathExpr != "" {
				errs = append(errs, field.Forbidden(at.Child("volumeMounts").Index(j).Child("subPathExpr"), notEphemeral))
			}
		}
	}
	return errs
}

// onlyFields refuses every field of a struct that is set and not listed, so that fields to come are refused too.
func onlyFields(value any, allowed []string, detail string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for f, v := range reflect.ValueOf(value).Fields() {
		if !slices.Contains(allowed, f.Name) && !v.IsZero() {
			first, size := utf8.DecodeRuneInString(f.Name)
			errs = append(errs, field.Forbidden(path.Child(string(unicode.ToLower(first))+f.Name[size:]), detail))
		}
	}
	return errs
}

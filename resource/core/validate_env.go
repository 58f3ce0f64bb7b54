package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What a pod may tell its containers about itself, in files and in variables.
var (
	volumeFields = []string{"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
	envFields    = []string{
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
	// convertible are the field paths that pods of v1 know at all.
	convertible = append([]string{
		"metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase",
	}, envFields...)
	containerAmounts = []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
)

func (c *podCheck) env(vars []corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range vars {
		v, at := &vars[i], path.Index(i)
		if v.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, invalidEach(at.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))...)
		}
		if v.ValueFrom != nil {
			errs = append(errs, c.envSource(v, at.Child("valueFrom"))...)
		}
	}
	return errs
}

func (c *podCheck) envSource(v *corev1.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	from, sources := v.ValueFrom, countSet(*v.ValueFrom)
	if from.FieldRef != nil {
		errs = append(errs, checkFieldRef(from.FieldRef, envFields, path.Child("fieldRef"))...)
	}
	if from.ResourceFieldRef != nil {
		errs = append(errs, checkResourceRef(from.ResourceFieldRef, path.Child("resourceFieldRef"), false)...)
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		errs = append(errs, keyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := from.SecretKeyRef; ref != nil {
		errs = append(errs, keyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if from.FileKeyRef != nil {
		errs = append(errs, c.fileKeyRef(from.FileKeyRef, path.Child("fileKeyRef"))...)
	}
	switch {
	case sources == 0:
		errs = append(errs, field.Invalid(path, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"))
	case v.Value != "":
		errs = append(errs, field.Invalid(path, "", "may not be specified when `value` is not empty"))
	case sources > 1:
		errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
	}
	return errs
}

func keyRef(name, key string, path *field.Path) field.ErrorList {
	errs := DNSSubdomain(name, path.Child("name"))
	if key == "" {
		return append(errs, field.Required(path.Child("key"), ""))
	}
	return append(errs, invalidEach(path.Child("key"), key, validation.IsConfigMapKey(key))...)
}

// fileKeyRef checks a variable that is read from a file in an empty directory (KEP-3721).
func (c *podCheck) fileKeyRef(ref *corev1.FileKeySelector, path *field.Path) field.ErrorList {
	errs := given(ref.Key, path.Child("key"))
	if ref.Key != "" {
		errs = append(errs, invalidEach(path.Child("key"), ref.Key, validation.IsRelaxedEnvVarName(ref.Key))...)
	}
	errs = append(errs, given(ref.VolumeName, path.Child("volumeName"))...)
	if v := c.known[ref.VolumeName]; v == nil {
		errs = append(errs, field.NotFound(path.Child("volumeName"), ref.VolumeName))
	} else if v != nil && v.EmptyDir == nil {
		errs = append(errs, field.Invalid(path.Child("volumeName"), ref.VolumeName, "referenced volume must be of type emptyDir"))
	}
	if ref.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	return append(errs, unreservedPath(ref.Path, path.Child("path"))...)
}

func envFrom(sources []corev1.EnvFromSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range sources {
		s, at := &sources[i], path.Index(i)
		if s.Prefix != "" {
			errs = append(errs, invalidEach(at.Child("prefix"), s.Prefix, validation.IsRelaxedEnvVarName(s.Prefix))...)
		}
		if s.ConfigMapRef != nil {
			errs = append(errs, sourceName(s.ConfigMapRef.Name, at.Child("configMapRef", "name"))...)
		}
		if s.SecretRef != nil {
			errs = append(errs, sourceName(s.SecretRef.Name, at.Child("secretRef", "name"))...)
		}
		switch countSet(*s) {
		case 0:
			errs = append(errs, field.Invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
		case 1:
		default:
			errs = append(errs, field.Invalid(path, "", "may not have more than one field specified at a time"))
		}
	}
	return errs
}

// sourceName checks the name of a ConfigMap or Secret; it may end like a prefix of one.
func sourceName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return given(name, path)
	}
	return invalidEach(path, name, apivalidation.NameIsDNSSubdomain(name, true))
}

// subscripted splits metadata.labels['key'].
func subscripted(path string) (name, subscript string, ok bool) {
	inner, ok := strings.CutSuffix(path, "']")
	if !ok {
		return path, "", false
	}
	name, subscript, ok = strings.Cut(inner, "['")
	return name, subscript, ok && name != ""
}

func checkFieldRef(ref *corev1.ObjectFieldSelector, allowed []string, path *field.Path) field.ErrorList {
	if ref.APIVersion == "" {
		return field.ErrorList{field.Required(path.Child("apiVersion"), "")}
	}
	if ref.FieldPath == "" {
		return field.ErrorList{field.Required(path.Child("fieldPath"), "")}
	}
	at := path.Child("fieldPath")
	unusable := func(why string) field.ErrorList {
		return field.ErrorList{field.Invalid(at, ref.FieldPath, "error converting fieldPath: "+why)}
	}
	if ref.APIVersion != "v1" {
		return unusable("unsupported pod version: " + ref.APIVersion)
	}
	if name, key, ok := subscripted(ref.FieldPath); ok {
		switch name {
		case "metadata.annotations":
			return invalidEach(path, key, validation.IsQualifiedName(strings.ToLower(key)))
		case "metadata.labels":
			return invalidEach(path, key, validation.IsQualifiedName(key))
		}
		return unusable(fmt.Sprintf("field label does not support subscript: %s", ref.FieldPath))
	}
	name := ref.FieldPath
	if name == "spec.host" {
		name = "spec.nodeName" // as it was called long ago
	}
	if !slices.Contains(convertible, name) {
		return unusable("field label not supported: " + name)
	}
	if !slices.Contains(allowed, name) {
		return field.ErrorList{field.NotSupported(at, name, allowed)}
	}
	return nil
}

const byteUnits = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"

func checkResourceRef(ref *corev1.ResourceFieldSelector, path *field.Path, inVolume bool) field.ErrorList {
	_, name, _ := strings.Cut(ref.Resource, ".")
	switch {
	case inVolume && ref.ContainerName == "":
		return append(field.ErrorList{field.Required(path.Child("containerName"), "")}, divisor(ref.Divisor, ref.Resource, name, path)...)
	case ref.Resource == "":
		return append(field.ErrorList{field.Required(path.Child("resource"), "")}, divisor(ref.Divisor, ref.Resource, name, path)...)
	case strings.HasPrefix(ref.Resource, "limits.hugepages-"), strings.HasPrefix(ref.Resource, "requests.hugepages-"):
	case !slices.Contains(containerAmounts, ref.Resource):
		return append(field.ErrorList{field.NotSupported(path.Child("resource"), ref.Resource, containerAmounts)},
			divisor(ref.Divisor, ref.Resource, name, path)...)
	}
	return divisor(ref.Divisor, ref.Resource, name, path)
}

// divisor checks the unit in which an amount is told.
func divisor(d resource.Quantity, full, name string, path *field.Path) field.ErrorList {
	if d.IsZero() {
		return nil
	}
	units, what := byteUnits, ""
	switch {
	case name == "cpu":
		units, what = "1m, 1", "cpu"
	case name == "memory":
		what = "memory"
	case name == "ephemeral-storage":
		what = "local ephemeral storage"
	case strings.HasPrefix(name, corev1.ResourceHugePagesPrefix):
		what = "hugepages"
	default:
		return nil
	}
	if slices.Contains(strings.Split(units, ", "), d.String()) {
		return nil
	}
	if what == "cpu" {
		units = "1m and 1"
	}
	return field.ErrorList{field.Invalid(path.Child("divisor"), full,
		fmt.Sprintf("only divisor's values %s are supported with the %s resource", units, what))}
}

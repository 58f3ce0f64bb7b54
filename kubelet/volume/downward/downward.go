// Package downward tells a container about its own Pod: the contents of the files that the downward API
// writes into volumes. It is pure.
package downward

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Field returns what a fieldRef path stands for. An unknown path is an error.
func Field(pod *corev1.Pod, path string) (string, error) {
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], nil
	}
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], nil
	}
	get, ok := fields[path]
	if !ok {
		return "", fmt.Errorf("unsupported fieldPath: %v", path)
	}
	return get(pod), nil
}

// fields are the plain paths; those outside metadata can only be environment variables.
var fields = map[string]func(*corev1.Pod) string{
	"metadata.name":        func(p *corev1.Pod) string { return p.Name },
	"metadata.namespace":   func(p *corev1.Pod) string { return p.Namespace },
	"metadata.uid":         func(p *corev1.Pod) string { return string(p.UID) },
	"metadata.annotations": func(p *corev1.Pod) string { return Map(p.Annotations) },
	"metadata.labels":      func(p *corev1.Pod) string { return Map(p.Labels) },
}

// subscript splits metadata.labels['key'] into its key.
func subscript(path, field string) (string, bool) {
	rest, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}

// Map formats labels or annotations as the downward API does: key="quoted value", a line each, sorted by key.
func Map(values map[string]string) string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var b strings.Builder
	for i, key := range keys {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(key + "=" + strconv.Quote(values[key]))
	}
	return b.String()
}

// Resource returns what a resourceFieldRef stands for, rounded up to whole divisors. A limit that
// the container does not set is what the node can give (allocatable; nil where it is not known).
func Resource(container *corev1.Container, ref *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	kind, name, ok := strings.Cut(ref.Resource, ".")
	if !ok || (kind != "limits" && kind != "requests") {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	resourceName := corev1.ResourceName(name)
	if !knownResource(resourceName) {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	quantity := container.Resources.Requests[resourceName]
	if kind == "limits" {
		var limited bool
		quantity, limited = container.Resources.Limits[resourceName]
		if (!limited || quantity.IsZero()) && !strings.HasPrefix(name, corev1.ResourceHugePagesPrefix) {
			quantity = allocatable[resourceName]
		}
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if resourceName == corev1.ResourceCPU {
		return divide(quantity.MilliValue(), divisor.MilliValue()), nil
	}
	return divide(quantity.Value(), divisor.Value()), nil
}

func knownResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func divide(value, by int64) string {
	return strconv.FormatInt(int64(math.Ceil(float64(value)/float64(by))), 10)
}

// Container finds a container of any sort by name; nil if there is none.
func Container(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

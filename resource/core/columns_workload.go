package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

// TemplateColumns are the wide columns of whatever has a pod template: names and images of containers.
func TemplateColumns[T resource.Object](of func(T) *corev1.PodSpec) []resource.Column[T] {
	each := func(value func(*corev1.Container) string) func(T) string {
		return func(obj T) string {
			spec := of(obj)
			if spec == nil {
				return ""
			}
			list := make([]string, len(spec.Containers))
			for i := range spec.Containers {
				list[i] = value(&spec.Containers[i])
			}
			return strings.Join(list, ",")
		}
	}
	return []resource.Column[T]{
		resource.Wide("Containers", "Names of each container in the template.", each(func(c *corev1.Container) string { return c.Name })),
		resource.Wide("Images", "Images referenced by each container in the template.", each(func(c *corev1.Container) string { return c.Image })),
	}
}

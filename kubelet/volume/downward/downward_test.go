package downward

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conformance: DownwardAPI volume, pod name
func TestField(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{"b": "2", "a": `say "hi"`}, Annotations: map[string]string{"x/y": "z"},
	}}
	for path, want := range map[string]string{
		"metadata.name": "p", "metadata.namespace": "ns", "metadata.uid": "u",
		"metadata.labels": "a=\"say \\\"hi\\\"\"\nb=\"2\"", "metadata.annotations": `x/y="z"`,
		"metadata.labels['b']": "2", "metadata.annotations['x/y']": "z", "metadata.labels['none']": "",
	} {
		if got, err := Field(pod, path); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"spec.nodeName", "metadata", "metadata.labels['b'", ""} {
		if _, err := Field(pod, path); err == nil {
			t.Errorf("%q has no error", path)
		}
	}
}

// conformance: DownwardAPI volume, CPU limits
// conformance: DownwardAPI volume, memory request
// conformance: DownwardAPI volume, CPU limit, default node allocatable
// conformance: DownwardAPI volume, CPU request
// conformance: DownwardAPI volume, memory limit, default node allocatable
func TestResource(t *testing.T) {
	t.Parallel()
	container := &corev1.Container{Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("250m"), "memory": resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("1250m")},
	}}
	node := corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("1Gi")}
	for _, c := range []struct{ name, divisor, want string }{
		{"limits.cpu", "", "2"}, {"limits.cpu", "1m", "1250"}, {"requests.cpu", "1m", "250"}, {"requests.cpu", "", "1"},
		{"requests.memory", "1Mi", "32"}, {"limits.memory", "", "1073741824"}, {"limits.memory", "1Mi", "1024"},
		{"requests.ephemeral-storage", "", "0"}, {"limits.hugepages-2Mi", "", "0"},
	} {
		ref := &corev1.ResourceFieldSelector{Resource: c.name}
		if c.divisor != "" {
			ref.Divisor = resource.MustParse(c.divisor)
		}
		if got, err := Resource(container, ref, node); err != nil || got != c.want {
			t.Errorf("%s by %q is %q (%v), want %q", c.name, c.divisor, got, err, c.want)
		}
	}
	for _, name := range []string{"limits.gpu", "cpu", "reservations.cpu"} {
		if _, err := Resource(container, &corev1.ResourceFieldSelector{Resource: name}, node); err == nil {
			t.Errorf("%q has no error", name)
		}
	}
}

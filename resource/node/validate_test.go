package node

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestRuntimeClasses(t *testing.T) {
	t.Parallel()
	class := &nodev1.RuntimeClass{Handler: "runc"}
	expect(t, validateRuntimeClass(nil, class))
	every := corev1.Toleration{Operator: corev1.TolerationOpExists}
	other := &nodev1.RuntimeClass{Handler: "kata", Scheduling: &nodev1.Scheduling{
		NodeSelector: map[string]string{"a b": "c"}, Tolerations: []corev1.Toleration{every, every},
	}}
	expect(t, validateRuntimeClassUpdate(nil, other, class),
		`scheduling.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
		`scheduling.tolerations[1]: Duplicate value: {"operator":"Exists"}`,
		`handler: Invalid value: "kata": field is immutable`)
}

func TestRuntimeClassFields(t *testing.T) {
	t.Parallel()
	one := resource.MustParse("1")
	expect(t, validateRuntimeClass(nil, &nodev1.RuntimeClass{
		Overhead: &nodev1.Overhead{PodFixed: corev1.ResourceList{"made-up": one}},
		Scheduling: &nodev1.Scheduling{Tolerations: []corev1.Toleration{
			{Key: "k", Operator: corev1.TolerationOpExists, Value: "v"},
		}},
	}),
		"handler: Required value",
		`overhead.limits[made-up]: Invalid value: "made-up": must be a standard resource type or fully qualified`,
		`overhead.limits[made-up]: Invalid value: "made-up": must be a standard resource for containers`,
		"scheduling.tolerations[0].operator: Invalid value: \"v\": value must be empty when `operator` is 'Exists'")
}

package scheduling

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
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

func TestPriorityClasses(t *testing.T) {
	t.Parallel()
	class := func(name string, value int32) *schedulingv1.PriorityClass {
		c := &schedulingv1.PriorityClass{Value: value}
		c.Name = name
		return c
	}
	expect(t, validatePriorityClass(nil, class("high", 1e9)))
	expect(t, validatePriorityClass(nil, class("system-node-critical", 2000001000)))
	expect(t, validatePriorityClass(nil, class("high", 1e9+1)), "value: Forbidden: maximum allowed value of a user defined priority is 1000000000")
	const reserved = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: "
	expect(t, validatePriorityClass(nil, class("system-mine", 1)), reserved+"system-mine is not a known system priority class")
	expect(t, validatePriorityClass(nil, class("system-node-critical", 1)), reserved+"value of system-node-critical PriorityClass must be 2000001000")
	changed := class("high", 2)
	changed.PreemptionPolicy = ptr.To(corev1.PreemptNever)
	expect(t, validatePriorityClassUpdate(nil, changed, class("high", 1)),
		"value: Forbidden: may not be changed in an update.", `preemptionPolicy: Invalid value: "Never": field is immutable`)
}

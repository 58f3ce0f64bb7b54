package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		path, rest, _ := strings.Cut(err.Error(), ": Invalid value: {")
		if _, detail, ok := strings.Cut(rest, "}: "); ok {
			path += ": " + detail // the whole spec, which is shown, is not the point
		}
		got = append(got, path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	budget := func(least, most *intstr.IntOrString) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: least, MaxUnavailable: most}}
	}
	number, percent := func(n int32) *intstr.IntOrString { return ptr.To(intstr.FromInt32(n)) }, func(s string) *intstr.IntOrString { return ptr.To(intstr.FromString(s)) }
	expect(t, validateBudget(nil, budget(percent("100%"), nil)))
	expect(t, validateBudget(nil, budget(number(-1), percent("101%"))),
		"spec: minAvailable and maxUnavailable cannot be both set",
		"spec.minAvailable: Invalid value: -1: must be greater than or equal to 0",
		`spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%`)
	expect(t, validateBudget(nil, budget(percent("half"), nil)),
		`spec.minAvailable: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`)
	odd := budget(nil, nil)
	odd.Spec.UnhealthyPodEvictionPolicy = ptr.To(policyv1.UnhealthyPodEvictionPolicyType("Never"))
	expect(t, validateBudgetUpdate(nil, odd, odd), `spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"`)
	odd.Status.DisruptionsAllowed = -1
	expect(t, validateBudgetStatus(nil, odd, odd), "status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0")
}

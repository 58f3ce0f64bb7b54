package autoscaling

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
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

func TestAutoscalersAreRefusedInUpstreamsWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*autoscalingv2.HorizontalPodAutoscalerSpec)
		want   []string
	}{
		"good": {func(*autoscalingv2.HorizontalPodAutoscalerSpec) {}, nil},
		"bounds": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.MinReplicas, s.MaxReplicas = ptr.To[int32](2), 0 }, []string{
			"spec.maxReplicas: Required value: must be set and greater than 0",
			"spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
		}},
		"nothing at least, of nobody": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
			s.MinReplicas = ptr.To[int32](0)
			s.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{Name: ".."}
		}, []string{
			"spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
			"spec.scaleTargetRef.kind: Required value",
			`spec.scaleTargetRef.name: Invalid value: "..": may not be '..'`,
			`spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group`,
		}},
		"metrics": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
			s.Metrics = []autoscalingv2.MetricSpec{
				{Type: "Moon"}, {Type: "Pods"},
				{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Target: autoscalingv2.MetricTarget{Type: "Big", AverageUtilization: ptr.To[int32](0)}}},
				{Type: "External", Pods: &autoscalingv2.PodsMetricSource{}, External: &autoscalingv2.ExternalMetricSource{
					Metric: autoscalingv2.MetricIdentifier{Name: "queue"},
					Target: autoscalingv2.MetricTarget{Type: "Value", Value: ptr.To(apiresource.MustParse("-1")), AverageValue: ptr.To(apiresource.MustParse("1"))},
				}},
			}
		}, []string{
			`spec.metrics[0].type: Unsupported value: "Moon": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"`,
			"spec.metrics[1].pods: Required value: must populate information for the given metric source",
			"spec.metrics[2].resource.name: Required value: must specify a resource name",
			`spec.metrics[2].resource.target.type: Invalid value: "Big": must be either Utilization, Value, or AverageValue`,
			"spec.metrics[2].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
			`spec.metrics[3].external.target.value: Invalid value: "-1": must be positive`,
			"spec.metrics[3].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target",
			"spec.metrics[3].pods: Forbidden: must populate the given metric source only",
		}},
		"behavior": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
			s.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleUp: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](3601)},
				ScaleDown: &autoscalingv2.HPAScalingRules{
					SelectPolicy: ptr.To(autoscalingv2.ScalingPolicySelect("Any")),
					Policies:     []autoscalingv2.HPAScalingPolicy{{Type: "Nodes", PeriodSeconds: 1801}},
				},
			}
		}, []string{
			"spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
			"spec.behavior.scaleUp.policies: Required value: must specify at least one Policy",
			`spec.behavior.scaleDown.selectPolicy: Unsupported value: "Any": supported values: "Disabled", "Max", "Min"`,
			`spec.behavior.scaleDown.policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods"`,
			"spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero",
			"spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hpa := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			}}
			defaultAutoscaler(hpa)
			test.change(&hpa.Spec)
			expect(t, validateAutoscaler(nil, hpa), test.want...)
		})
	}
}

// A target without a group stays where it was stored before groups were asked for.
func TestTargetsNeedGroups(t *testing.T) {
	t.Parallel()
	target := func(version string) *autoscalingv2.HorizontalPodAutoscaler {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: version, Kind: "Deployment", Name: "web"},
		}}
		defaultAutoscaler(hpa)
		return hpa
	}
	refused := `spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group`
	expect(t, validateAutoscalerUpdate(nil, target("v1"), target("apps/v1")), refused)
	expect(t, validateAutoscalerUpdate(nil, target("v1"), target("")))
	expect(t, validateAutoscalerUpdate(nil, target("a/b/c"), target("")),
		`spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c`)
	expect(t, validateAutoscalerUpdate(nil, target("a/b/c"), target("a/b/c")))
}

// What is measured in one container is a resource of containers, in a container that there can be.
func TestContainerMetricsAreNamed(t *testing.T) {
	t.Parallel()
	source := &autoscalingv2.ContainerResourceMetricSource{
		Name: "made-up", Container: "A", Target: autoscalingv2.MetricTarget{Type: "Utilization", AverageUtilization: ptr.To[int32](50)},
	}
	errs := metrics([]autoscalingv2.MetricSpec{{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: source}}, specPath)
	var at []string
	for _, err := range errs {
		at = append(at, err.Field)
	}
	want := []string{"spec[0].containerResource.name", "spec[0].containerResource.name", "spec[0].containerResource.container"}
	if diff := cmp.Diff(want, at); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestOldAutoscalersAreCheckedAsNewOnes(t *testing.T) {
	t.Parallel()
	hpa := &autoscalingv1.HorizontalPodAutoscaler{Spec: autoscalingv1.HorizontalPodAutoscalerSpec{
		MaxReplicas: 3, TargetCPUUtilizationPercentage: ptr.To[int32](0), ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
	}}
	expect(t, validateAutoscalerV1(nil, hpa), "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0")
	hpa.Status.DesiredReplicas = -1
	expect(t, validateAutoscalerV1Status(nil, hpa, nil), "status.desiredReplicas: Invalid value: -1: must be greater than or equal to 0")
}

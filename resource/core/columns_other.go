package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

func replicationControllerColumns() []resource.Column[*corev1.ReplicationController] {
	doc := corev1.ReplicationControllerStatus{}.SwaggerDoc()
	return append(append([]resource.Column[*corev1.ReplicationController]{
		resource.Name[*corev1.ReplicationController](),
		resource.Number("Desired", corev1.ReplicationControllerSpec{}.SwaggerDoc()["replicas"],
			func(rc *corev1.ReplicationController) int64 { return int64(ptr.Deref(rc.Spec.Replicas, 1)) }),
		resource.Number("Current", doc["replicas"], func(rc *corev1.ReplicationController) int64 { return int64(rc.Status.Replicas) }),
		resource.Number("Ready", doc["readyReplicas"], func(rc *corev1.ReplicationController) int64 { return int64(rc.Status.ReadyReplicas) }),
		resource.Age[*corev1.ReplicationController](),
	}, TemplateColumns(func(rc *corev1.ReplicationController) *corev1.PodSpec {
		if rc.Spec.Template == nil {
			return nil
		}
		return &rc.Spec.Template.Spec
	})...), resource.Wide("Selector", corev1.ReplicationControllerSpec{}.SwaggerDoc()["selector"],
		func(rc *corev1.ReplicationController) string { return labels.FormatLabels(rc.Spec.Selector) }))
}

func podTemplateColumns() []resource.Column[*corev1.PodTemplate] {
	columns := []resource.Column[*corev1.PodTemplate]{resource.Name[*corev1.PodTemplate]()}
	for _, c := range TemplateColumns(func(t *corev1.PodTemplate) *corev1.PodSpec { return &t.Template.Spec }) {
		c.Priority = 0
		columns = append(columns, c)
	}
	return append(columns, resource.Text("Pod Labels", "The labels for the pod template.",
		func(t *corev1.PodTemplate) string { return labels.FormatLabels(t.Template.Labels) }))
}

func resourceQuotaColumns() []resource.Column[*corev1.ResourceQuota] {
	used := func(limits bool) func(*corev1.ResourceQuota) string {
		return func(quota *corev1.ResourceQuota) string {
			var list []string
			for _, name := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
				if strings.HasPrefix(string(name), "limits.") == limits {
					now, most := quota.Status.Used[name], quota.Status.Hard[name]
					list = append(list, fmt.Sprintf("%s: %s/%s", name, now.String(), most.String()))
				}
			}
			return strings.Join(list, ", ")
		}
	}
	return []resource.Column[*corev1.ResourceQuota]{
		resource.Name[*corev1.ResourceQuota](),
		resource.Text("Request", "Request represents a minimum amount of cpu/memory that a container may consume.", used(false)),
		resource.Text("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.", used(true)),
		resource.Age[*corev1.ResourceQuota](),
	}
}

func componentStatusColumns() []resource.Column[*corev1.ComponentStatus] {
	health := func(of func(corev1.ComponentCondition) string) func(*corev1.ComponentStatus) string {
		return func(status *corev1.ComponentStatus) string {
			for _, c := range status.Conditions {
				if c.Type == corev1.ComponentHealthy {
					return of(c)
				}
			}
			return of(corev1.ComponentCondition{})
		}
	}
	return []resource.Column[*corev1.ComponentStatus]{
		resource.Name[*corev1.ComponentStatus](),
		resource.Text("Status", "Status of the component conditions", health(func(c corev1.ComponentCondition) string {
			switch c.Status {
			case corev1.ConditionTrue:
				return "Healthy"
			case corev1.ConditionFalse:
				return "Unhealthy"
			}
			return "Unknown"
		})),
		resource.Text("Message", "Message of the component conditions", health(func(c corev1.ComponentCondition) string { return c.Message })),
		resource.Text("Error", "Error of the component conditions", health(func(c corev1.ComponentCondition) string { return c.Error })),
	}
}

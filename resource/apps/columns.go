package apps

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func deploymentColumns() []resource.Column[*appsv1.Deployment] {
	doc := appsv1.DeploymentStatus{}.SwaggerDoc()
	columns := append([]resource.Column[*appsv1.Deployment]{
		resource.Name[*appsv1.Deployment](),
		resource.Text("Ready", "Number of the pod with ready state", func(d *appsv1.Deployment) string {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, ptr.Deref(d.Spec.Replicas, 1))
		}),
		{Name: "Up-to-date", Description: doc["updatedReplicas"], Value: func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) }},    // a number, called a string
		{Name: "Available", Description: doc["availableReplicas"], Value: func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) }}, // this one too
		resource.Age[*appsv1.Deployment](),
	}, core.TemplateColumns(func(d *appsv1.Deployment) *corev1.PodSpec { return &d.Spec.Template.Spec })...)
	return append(columns, selector(func(d *appsv1.Deployment) *metav1.LabelSelector { return d.Spec.Selector }))
}

func replicaSetColumns() []resource.Column[*appsv1.ReplicaSet] {
	doc := appsv1.ReplicaSetStatus{}.SwaggerDoc()
	columns := append([]resource.Column[*appsv1.ReplicaSet]{
		resource.Name[*appsv1.ReplicaSet](),
		resource.Number("Desired", appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"],
			func(rs *appsv1.ReplicaSet) int64 { return int64(ptr.Deref(rs.Spec.Replicas, 1)) }),
		resource.Number("Current", doc["replicas"], func(rs *appsv1.ReplicaSet) int64 { return int64(rs.Status.Replicas) }),
		resource.Number("Ready", doc["readyReplicas"], func(rs *appsv1.ReplicaSet) int64 { return int64(rs.Status.ReadyReplicas) }),
		resource.Age[*appsv1.ReplicaSet](),
	}, core.TemplateColumns(func(rs *appsv1.ReplicaSet) *corev1.PodSpec { return &rs.Spec.Template.Spec })...)
	return append(columns, selector(func(rs *appsv1.ReplicaSet) *metav1.LabelSelector { return rs.Spec.Selector }))
}

func daemonSetColumns() []resource.Column[*appsv1.DaemonSet] {
	doc := appsv1.DaemonSetStatus{}.SwaggerDoc()
	number := func(name, field string, of func(*appsv1.DaemonSetStatus) int32) resource.Column[*appsv1.DaemonSet] {
		return resource.Number(name, doc[field], func(ds *appsv1.DaemonSet) int64 { return int64(of(&ds.Status)) })
	}
	columns := append([]resource.Column[*appsv1.DaemonSet]{
		resource.Name[*appsv1.DaemonSet](),
		number("Desired", "desiredNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.DesiredNumberScheduled }),
		number("Current", "currentNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.CurrentNumberScheduled }),
		number("Ready", "numberReady", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberReady }),
		number("Up-to-date", "updatedNumberScheduled", func(s *appsv1.DaemonSetStatus) int32 { return s.UpdatedNumberScheduled }),
		number("Available", "numberAvailable", func(s *appsv1.DaemonSetStatus) int32 { return s.NumberAvailable }),
		resource.Text("Node Selector", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"],
			func(ds *appsv1.DaemonSet) string { return labels.FormatLabels(ds.Spec.Template.Spec.NodeSelector) }),
		resource.Age[*appsv1.DaemonSet](),
	}, core.TemplateColumns(func(ds *appsv1.DaemonSet) *corev1.PodSpec { return &ds.Spec.Template.Spec })...)
	return append(columns, selector(func(ds *appsv1.DaemonSet) *metav1.LabelSelector { return ds.Spec.Selector }))
}

func statefulSetColumns() []resource.Column[*appsv1.StatefulSet] {
	return append([]resource.Column[*appsv1.StatefulSet]{
		resource.Name[*appsv1.StatefulSet](),
		resource.Text("Ready", "Number of the pod with ready state", func(s *appsv1.StatefulSet) string {
			return fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, ptr.Deref(s.Spec.Replicas, 1))
		}),
		resource.Age[*appsv1.StatefulSet](),
	}, core.TemplateColumns(func(s *appsv1.StatefulSet) *corev1.PodSpec { return &s.Spec.Template.Spec })...)
}

func controllerRevisionColumns() []resource.Column[*appsv1.ControllerRevision] {
	return []resource.Column[*appsv1.ControllerRevision]{
		resource.Name[*appsv1.ControllerRevision](),
		resource.Text("Controller", "Controller of the object", func(r *appsv1.ControllerRevision) string {
			owner := metav1.GetControllerOf(r)
			if owner == nil {
				return "<none>"
			}
			kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
			return strings.ToLower(kind.String()) + "/" + owner.Name
		}),
		resource.Number("Revision", appsv1.ControllerRevision{}.SwaggerDoc()["revision"], func(r *appsv1.ControllerRevision) int64 { return r.Revision }),
		resource.Age[*appsv1.ControllerRevision](),
	}
}

func selector[T resource.Object](of func(T) *metav1.LabelSelector) resource.Column[T] {
	return resource.Wide("Selector", appsv1.DeploymentSpec{}.SwaggerDoc()["selector"],
		func(obj T) string { return metav1.FormatLabelSelector(of(obj)) })
}

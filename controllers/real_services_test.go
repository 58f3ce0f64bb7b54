package controllers_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServicesAndTaints shows, with no more rights than the default roles give: Endpoints of a Service, custom ones that are
// mirrored, the claim of an ephemeral volume, and a Pod that has to leave a tainted Node.
//
// conformance: EndpointSlice Mirroring
func TestServicesAndTaints(t *testing.T) {
	t.Parallel()
	c := start(t)
	ctx := context.Background()
	t.Run("mirror", func(*testing.T) { c.mirror(ctx) })
	t.Run("evict", func(*testing.T) { c.evict(ctx) })
}

func (c *cluster) mirror(ctx context.Context) {
	ports := []corev1.ServicePort{{Port: 80}}
	for name, selector := range map[string]map[string]string{"custom": nil, "own": {"app": "none"}} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Selector: selector, Ports: ports}}
		_, err := c.CoreV1().Services("default").Create(ctx, service, metav1.CreateOptions{})
		c.must(err)
	}
	_, err := c.CoreV1().Endpoints("default").Create(ctx, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "custom"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.1.2.3"}}, Ports: []corev1.EndpointPort{{Port: 80}}}},
	}, metav1.CreateOptions{})
	c.must(err)
	slices := func(want int) {
		c.t.Helper()
		c.eventually(fmt.Sprintf("%d slices of the custom Endpoints", want), func(ctx context.Context) string {
			list, err := c.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=custom"})
			c.must(err)
			if len(list.Items) != want || want > 0 && list.Items[0].Endpoints[0].Addresses[0] != "10.1.2.3" {
				return fmt.Sprintf("%v", list.Items)
			}
			return ""
		})
	}
	slices(1)
	c.eventually("the Service with a selector has Endpoints", func(ctx context.Context) string {
		made, err := c.CoreV1().Endpoints("default").Get(ctx, "own", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if made.Labels["endpoints.kubernetes.io/managed-by"] != "endpoint-controller" {
			return fmt.Sprintf("%v", made.Labels)
		}
		return ""
	})
	c.must(c.CoreV1().Endpoints("default").Delete(ctx, "custom", metav1.DeleteOptions{}))
	slices(0)
}

func (c *cluster) evict(ctx context.Context) {
	node, err := c.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "shaky"}}, metav1.CreateOptions{})
	c.must(err)
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
	_, err = c.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
	c.must(err)
	template := &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "fragile"}, Spec: corev1.PodSpec{
		NodeName: "shaky", Containers: []corev1.Container{{Name: "main", Image: "web:1"}},
		Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: template}}}},
	}}
	c.eventually("a Pod can be made", func(ctx context.Context) string {
		if _, err := c.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	c.eventually("its ephemeral volume has a claim", func(ctx context.Context) string {
		claim, err := c.CoreV1().PersistentVolumeClaims("default").Get(ctx, "fragile-scratch", metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		if owner := metav1.GetControllerOf(claim); owner == nil || owner.Name != "fragile" {
			return fmt.Sprintf("%v", claim.OwnerReferences)
		}
		return ""
	})
	_, err = c.CoreV1().Nodes().Patch(ctx, "shaky", "application/strategic-merge-patch+json",
		[]byte(`{"spec":{"taints":[{"key":"broken","effect":"NoExecute"}]}}`), metav1.PatchOptions{})
	c.must(err)
	c.eventually("the Pod has left", func(ctx context.Context) string {
		p, err := c.CoreV1().Pods("default").Get(ctx, "fragile", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return ""
		}
		return fmt.Sprintf("%v %v", p.Status.Conditions, err)
	})
	c.eventually("its event is told", func(ctx context.Context) string {
		events, err := c.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=TaintManagerEviction"})
		c.must(err)
		if len(events.Items) != 1 || events.Items[0].Message != "Marking for deletion Pod default/fragile" {
			return fmt.Sprintf("%v", events.Items)
		}
		return ""
	})
}

package service

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cloud-provider/api"
	"k8s.io/utils/ptr"
)

func TestWhichServicesAreBalanced(t *testing.T) {
	t.Parallel()
	balanced := corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}
	now := metav1.Now()
	for name, test := range map[string]struct {
		old, service *corev1.Service
		want         bool
	}{
		"new":                  {nil, &corev1.Service{Spec: balanced}, true},
		"of another type":      {nil, &corev1.Service{}, false},
		"of another class":     {nil, &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To("example.org/x")}}, false},
		"no longer":            {&corev1.Service{Spec: balanced}, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{Finalizer}}}, true},
		"only its status":      {&corev1.Service{Spec: balanced}, &corev1.Service{Spec: balanced, Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}}}, false},
		"to be deleted":        {&corev1.Service{Spec: balanced}, &corev1.Service{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{Finalizer}}, Spec: balanced}, true},
		"gone":                 {&corev1.Service{Spec: balanced}, nil, false},
		"made anew in between": {&corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "1"}, Spec: balanced}, &corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "2"}, Spec: balanced}, true},
	} {
		if got := len(wantsBalancing(test.old, test.service)) > 0; got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhichNodesGetTraffic(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	for name, test := range map[string]struct {
		node corev1.Node
		want bool
	}{
		"any":           {corev1.Node{}, true},
		"excluded":      {corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelNodeExcludeBalancers: ""}}}, false},
		"going":         {corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, false},
		"uninitialized": {corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: api.TaintExternalCloudProvider}}}}, false},
		"unschedulable": {corev1.Node{Spec: corev1.NodeSpec{Unschedulable: true}}, true},
	} {
		if got := balanced(&test.node); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

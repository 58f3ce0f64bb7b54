package apiserver

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestComponentsAreLookedUp where kubectl get componentstatuses asks for them.
func TestComponentsAreLookedUp(t *testing.T) {
	t.Parallel()
	server := Start(t)
	set := server.Client()
	statuses := set.CoreV1().ComponentStatuses()
	agree := func(when string, options metav1.ListOptions, want ...string) {
		t.Helper()
		list, err := statuses.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list.Items {
			if len(s.Conditions) != 1 || s.Conditions[0].Type != corev1.ComponentHealthy {
				t.Fatalf("%s: %s has conditions %v", when, s.Name, s.Conditions)
			}
			got = append(got, s.Name+" "+string(s.Conditions[0].Status)+" "+s.Conditions[0].Message)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant:\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	const (
		noController = `controller-manager False leases.coordination.k8s.io "kube-controller-manager" not found`
		etcd         = "etcd-0 True ok"
		noScheduler  = `scheduler False leases.coordination.k8s.io "kube-scheduler" not found`
	)
	agree("at the beginning", metav1.ListOptions{}, noController, etcd, noScheduler)
	agree("by name", metav1.ListOptions{FieldSelector: "metadata.name=scheduler"}, noScheduler)
	agree("by a label that none has", metav1.ListOptions{LabelSelector: "app=x"})

	lease := func(name, holder string, age time.Duration) {
		t.Helper()
		_, err := set.CoordinationV1().Leases("kube-system").Create(t.Context(), &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: &holder, LeaseDurationSeconds: ptr.To[int32](15), RenewTime: ptr.To(metav1.NewMicroTime(time.Now().Add(-age))),
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	lease("kube-controller-manager", "a", 0)
	lease("kube-scheduler", "b", time.Hour)
	agree("once they have led", metav1.ListOptions{}, "controller-manager True ok", etcd, "scheduler False b renewed its lease 1h0m0s ago")

	one, err := statuses.Get(t.Context(), "etcd-0", metav1.GetOptions{})
	if err != nil || one.Conditions[0].Message != "ok" {
		t.Errorf("etcd-0: %v, %v", one, err)
	}
	if _, err := statuses.Get(t.Context(), "kubelet", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a component that there is not: %v", err)
	}
	if a := server.Do("GET", "/api/v1/componentstatuses", "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"); !strings.Contains(a.Body, `"cells":["controller-manager","Healthy","ok",""]`) {
		t.Errorf("as kubectl shows them: %s", a.Body)
	}
}

package endpoints

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/septet-io/septet/controllers/controltest"
)

func service(edit ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, ClusterIP: "10.0.0.1", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	for _, f := range edit {
		f(s)
	}
	return s
}

// pod runs with port http at that number, and ready.
func pod(name, ip string, port int32, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port, Protocol: corev1.ProtocolTCP}},
		}}},
	}
	controltest.Ready(p, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	p.Status.PodIP, p.Status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	for _, f := range edit {
		f(p)
	}
	return p
}

func unready(p *corev1.Pod)     { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func ended(p *corev1.Pod)       { p.Status.Phase = corev1.PodFailed }
func terminating(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} }

// describe renders subsets as "10.1.0.1,(10.1.0.2):http=80 ".
func describe(subsets []corev1.EndpointSubset) string {
	text := ""
	for _, subset := range subsets {
		for _, a := range subset.Addresses {
			text += a.IP + ","
		}
		for _, a := range subset.NotReadyAddresses {
			text += "(" + a.IP + "),"
		}
		text += ":"
		for _, p := range subset.Ports {
			text += fmt.Sprintf("%s=%d ", p.Name, p.Port)
		}
	}
	return text
}

func TestSubsets(t *testing.T) {
	t.Parallel()
	twoPorts := func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "admin", Protocol: corev1.ProtocolTCP, Port: 9000})
	}
	for _, test := range []struct {
		name    string
		service *corev1.Service
		pods    []*corev1.Pod
		want    string
	}{
		{"nobody", service(), nil, ""},
		{"two of a kind, in order", service(), []*corev1.Pod{pod("b", "10.1.0.2", 80), pod("a", "10.1.0.1", 80)}, "10.1.0.1,10.1.0.2,:http=80 "},
		{"one not ready", service(), []*corev1.Pod{pod("a", "10.1.0.1", 80), pod("b", "10.1.0.2", 80, unready)}, "10.1.0.1,(10.1.0.2),:http=80 "},
		{"not ready, but shown", service(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }),
			[]*corev1.Pod{pod("b", "10.1.0.2", 80, unready), pod("c", "10.1.0.3", 80, terminating)}, "10.1.0.2,10.1.0.3,:http=80 "},
		{"those that end are out", service(), []*corev1.Pod{pod("a", "10.1.0.1", 80, ended), pod("b", "10.1.0.2", 80, terminating)}, ""},
		{"without address", service(), []*corev1.Pod{pod("a", "", 80)}, ""},
		{"two ports of the same Pods are one subset", service(twoPorts), []*corev1.Pod{pod("a", "10.1.0.1", 80)}, "10.1.0.1,:admin=9000 http=80 "},
		{"a name with two numbers is two subsets", service(), []*corev1.Pod{pod("a", "10.1.0.1", 80), pod("b", "10.1.0.2", 81)}, "10.1.0.1,:http=80 10.1.0.2,:http=81 "},
		{"a Pod without the named port", service(), []*corev1.Pod{pod("a", "10.1.0.1", 80, func(p *corev1.Pod) { p.Spec.Containers = nil })}, ""},
		{"headless without ports", service(func(s *corev1.Service) { s.Spec.Ports, s.Spec.ClusterIP = nil, corev1.ClusterIPNone }),
			[]*corev1.Pod{pod("a", "10.1.0.1", 80)}, "10.1.0.1,:"},
		{"the other family", service(func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }),
			[]*corev1.Pod{pod("a", "10.1.0.1", 80), pod("b", "fd00::1", 80)}, "fd00::1,:http=80 "},
	} {
		if got := describe(Subsets(test.service, test.pods)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestWanted(t *testing.T) {
	t.Parallel()
	pods := []*corev1.Pod{pod("a", "10.1.0.1", 80, func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.Subdomain = "zero", "web" })}
	headless := service(func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone })
	made := Wanted(headless, pods, nil)
	address := made.Subsets[0].Addresses[0]
	if address.Hostname != "zero" || *address.NodeName != "n" || address.TargetRef.Kind != "Pod" || address.TargetRef.UID != "a" {
		t.Errorf("address: %v", address)
	}
	if _, marked := made.Labels[corev1.IsHeadlessService]; !marked || made.Labels["team"] != "a" || made.Labels[managedBy] != manager {
		t.Errorf("labels: %v", made.Labels)
	}
	if made.Annotations[corev1.EndpointsLastChangeTriggerTime] != "2026-01-01T00:00:00Z" {
		t.Errorf("annotations: %v", made.Annotations)
	}
	if again := Wanted(headless, pods, made); again != nil {
		t.Errorf("written again without need: %v", again)
	}
	made.Labels["by"] = "somebody else"
	if Wanted(headless, pods, made) == nil {
		t.Error("labels of others stay")
	}
}

func TestOverCapacity(t *testing.T) {
	t.Parallel()
	var pods []*corev1.Pod
	for i := range 1200 {
		edit := []func(*corev1.Pod){}
		if i >= 900 {
			edit = append(edit, unready)
		}
		pods = append(pods, pod(fmt.Sprintf("p%d", i), fmt.Sprintf("10.1.%d.%d", i/250, i%250), 80+int32(i%7), edit...))
	}
	made := Wanted(service(), pods, nil)
	ready, unready := 0, 0
	for _, subset := range made.Subsets {
		ready, unready = ready+len(subset.Addresses), unready+len(subset.NotReadyAddresses)
	}
	if ready != 900 || unready != 100 || made.Annotations[corev1.EndpointsOverCapacity] != "truncated" {
		t.Errorf("%d ready, %d not, %v", ready, unready, made.Annotations)
	}
	fewer := Wanted(service(), pods[:1000], made)
	if _, still := fewer.Annotations[corev1.EndpointsOverCapacity]; still {
		t.Error("still said to be truncated")
	}
}

// conformance: Endpoints, creation/deletion
func TestEndpointsFollowTheirService(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	custom := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "custom"}}
	bare := service(func(s *corev1.Service) { s.Name, s.Spec.Selector = "custom", nil })
	w := controltest.New(t, service(), pod("a", "10.1.0.1", 80), bare, custom)
	w.Run(w.Must(New(w.Set, w.Events, 1, 0)))
	api := w.CoreV1().Endpoints("default")
	shows := func(want string) func() string {
		return func() string {
			made, err := api.Get(ctx, "web", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if got := describe(made.Subsets); got != want {
				return got
			}
			return ""
		}
	}
	w.Eventually(shows("10.1.0.1,:http=80 "))
	if _, err := w.CoreV1().Pods("default").Create(ctx, pod("b", "10.1.0.2", 80), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(shows("10.1.0.1,10.1.0.2,:http=80 "))
	if err := w.CoreV1().Services("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() string {
		if _, err := api.Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "the Service is gone, its Endpoints are not"
		}
		return ""
	})
	if kept, err := api.Get(ctx, "custom", metav1.GetOptions{}); err != nil || len(kept.Labels) > 0 {
		t.Errorf("Endpoints of a Service without selector were touched: %v, %v", kept, err)
	}
}

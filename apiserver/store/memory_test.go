package store_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
)

// runningPod is one as a kubelet has reported it: 5.6 KB of JSON.
func runningPod(b *testing.B, n int) *corev1.Pod {
	b.Helper()
	p := benchPod(n)
	p.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
	p.Labels = map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "shop", "pod-template-hash": "5d9f7c9d8b"}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d9f7c9d8b", UID: "2c5e6c6e-1111-2222-3333-444444444444"}}
	for _, manager := range []string{"kube-controller-manager", "kubelet"} {
		p.ManagedFields = append(p.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"2c5e6c6e-1111-2222-3333-444444444444\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{},"f:memory":{}}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}`)})
	}
	c := &p.Spec.Containers[0]
	c.Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}
	c.TerminationMessagePath, c.TerminationMessagePolicy = "/dev/termination-log", "File"
	c.VolumeMounts = []corev1.VolumeMount{{Name: "kube-api-access", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
	p.Spec.DNSPolicy, p.Spec.SchedulerName, p.Spec.SecurityContext = "ClusterFirst", "default-scheduler", &corev1.PodSecurityContext{}
	p.Spec.Tolerations = []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"}, {Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"}}
	for _, typ := range []corev1.PodConditionType{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: typ, Status: "True", LastTransitionTime: p.CreationTimestamp})
	}
	p.Status.Phase, p.Status.HostIP, p.Status.PodIP, p.Status.QOSClass = "Running", "10.0.0.1", fmt.Sprintf("10.1.%d.%d", n/250, n%250), "BestEffort"
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Ready: true, Image: c.Image, ImageID: c.Image + "@sha256:0123456789abcdef",
		ContainerID: fmt.Sprintf("containerd://%064d", n), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: p.CreationTimestamp}}}}
	return p
}

// BenchmarkMemory is what one cached Pod holds in memory, after it was read from etcd, and what reading it costs.
func BenchmarkMemory(b *testing.B) {
	const size = 10000
	member := startEtcd(b, etcd.Config{})
	backend := store.Connect(store.BackendOptions{Client: member.Client(), Revision: member.Revision})
	b.Cleanup(backend.Stop)
	s := store.New(storetest.OptionsFor(storetest.Pods, backend))
	for n := range size {
		p := runningPod(b, n)
		if n == 0 {
			data, err := json.Marshal(p)
			if err != nil {
				b.Fatal(err)
			}
			b.Logf("%d bytes of JSON", len(data))
		}
		if _, err := s.Create(b.Context(), keyOf(p), p, 0); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		before, used := heap(), cpu()
		fresh := store.New(storetest.OptionsFor(storetest.Pods, backend))
		if page, err := fresh.List(b.Context(), store.Query{}); err != nil || len(page.Items) != size {
			b.Fatal(err)
		}
		b.ReportMetric(float64((cpu()-used).Nanoseconds())/size, "fill-cpu-ns/object")
		b.ReportMetric(float64(heap()-before)/size, "heap-bytes/object")
		fresh.Stop()
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

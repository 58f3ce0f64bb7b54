package apiserver

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/septet-io/septet/apiserver/request"
	septet "github.com/septet-io/septet/resource"
)

// samplePod is a Pod as a ReplicaSet makes it.
func samplePod(name string) *corev1.Pod {
	yes := true
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "bench", Labels: map[string]string{"app": "web", "pod-template-hash": "5d4f8c7b9"},
			Annotations:     map[string]string{"example.com/note": "some text that people put into annotations"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d4f8c7b9", UID: "5f8d7f0a-5c5e-4b0a-8e53-2f6d2f6f7a11", Controller: &yes, BlockOwnerDeletion: &yes}},
		},
		Spec: corev1.PodSpec{
			ServiceAccountName: "default", NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
			Containers: []corev1.Container{{
				Name: "web", Image: "registry.example.com/web:1.2.3", Command: []string{"/web"}, Args: []string{"--port=8080"},
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				Env:   []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
					Limits:   corev1.ResourceList{"memory": resource.MustParse("128Mi")},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/web"}},
			}},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web"}}}}},
		},
	}
}

// discard is a client that reads fast.
type discard struct {
	header http.Header
	code   int
	size   int
}

func (d *discard) Header() http.Header  { return d.header }
func (d *discard) WriteHeader(code int) { d.code = code }
func (d *discard) Write(p []byte) (int, error) {
	d.size += len(p)
	return len(p), nil
}

var user = septet.User{Name: "admin", Groups: []string{"system:masters"}}

const protobuf = "application/vnd.kubernetes.protobuf"

// call sends a request into the chain as an administrator, without a network.
func (s *Server) call(b testing.TB, method, path, contentType, accept string, body []byte) *discard {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Accept", accept)
	r.Header.Set("User-Agent", "bench/1")
	w := &discard{header: http.Header{}}
	s.ServeAs(w, r, user)
	if w.code >= 300 {
		b.Fatalf("%s %s: %d", method, path, w.code)
	}
	return w
}

func protobufOf(b testing.TB, obj runtime.Object) []byte {
	accept := request.Accept{Format: request.Protobuf}
	body, err := request.Encode(accept, obj.GetObjectKind().GroupVersionKind(), obj)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func benchServer(b *testing.B) *Server {
	server := Start(b)
	server.Namespace("bench")
	return server
}

func BenchmarkCreatePod(b *testing.B) {
	server := benchServer(b)
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			body := protobufOf(b, samplePod(fmt.Sprintf("pod-%d", n.Add(1))))
			server.call(b, "POST", "/api/v1/namespaces/bench/pods", protobuf, protobuf, body)
		}
	})
}

func BenchmarkGetPod(b *testing.B) {
	server := benchServer(b)
	server.call(b, "POST", "/api/v1/namespaces/bench/pods", protobuf, protobuf, protobufOf(b, samplePod("pod")))
	b.ReportAllocs()
	for b.Loop() {
		server.call(b, "GET", "/api/v1/namespaces/bench/pods/pod", "", protobuf, nil)
	}
}

func BenchmarkMergePatchPod(b *testing.B) {
	server := benchServer(b)
	server.call(b, "POST", "/api/v1/namespaces/bench/pods", protobuf, protobuf, protobufOf(b, samplePod("pod")))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := fmt.Sprintf(`{"metadata":{"annotations":{"n":"%d"}}}`, i)
		server.call(b, "PATCH", "/api/v1/namespaces/bench/pods/pod", "application/merge-patch+json", protobuf, []byte(body))
	}
}

func BenchmarkUpdateStatus(b *testing.B) {
	server := benchServer(b)
	server.call(b, "POST", "/api/v1/namespaces/bench/pods", protobuf, protobuf, protobufOf(b, samplePod("pod")))
	pods := server.InProcess("admin", "system:masters").CoreV1().Pods("bench")
	pod, err := pods.Get(context.Background(), "pod", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	pod.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	pod.ResourceVersion = ""
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		pod.Status.Message = fmt.Sprint(i)
		server.call(b, "PUT", "/api/v1/namespaces/bench/pods/pod/status", protobuf, protobuf, protobufOf(b, pod))
	}
}

func BenchmarkApplyPod(b *testing.B) {
	server := benchServer(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pod","annotations":{"n":"%d"}},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`, i)
		server.call(b, "PATCH", "/api/v1/namespaces/bench/pods/pod?fieldManager=bench", "application/apply-patch+yaml", protobuf, []byte(body))
	}
}

// listed is how many Pods are listed.
const listed = 10_000

func BenchmarkList(b *testing.B) {
	server := benchServer(b)
	for i := range listed {
		pod := samplePod(fmt.Sprintf("pod-%d", i))
		pod.Labels["percent"] = fmt.Sprint(i % 100)
		pod.Spec.NodeName = fmt.Sprintf("node-%d", i%100)
		server.call(b, "POST", "/api/v1/namespaces/bench/pods", protobuf, protobuf, protobufOf(b, pod))
	}
	for name, accept := range map[string]string{
		"json": "application/json", "protobuf": protobuf, "table": "application/json;as=Table;v=v1;g=meta.k8s.io",
		"metadata": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				size = server.call(b, "GET", "/api/v1/pods", "", accept, nil).size
			}
			b.SetBytes(int64(size))
		})
	}
	for name, query := range map[string]string{"label": "labelSelector=percent%3D7", "node": "fieldSelector=spec.nodeName%3Dnode-7", "limit": "limit=500"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				server.call(b, "GET", "/api/v1/pods?"+query, "", protobuf, nil)
			}
		})
	}
}

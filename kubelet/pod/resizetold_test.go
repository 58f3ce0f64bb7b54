package pod

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The message is what upstream's kubelet wrote for the same Pod.
func TestWhatIsToldOfAResize(t *testing.T) {
	t.Parallel()
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	pod.Spec.InitContainers = []v1.Container{{Name: "init"}}
	pod.Spec.Containers = []v1.Container{{Name: "c", Resources: v1.ResourceRequirements{
		Limits: v1.ResourceList{v1.ResourceMemory: resource.MustParse("96Mi")}, Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("10m")},
	}}}
	const want = `Pod resize started: {"initContainers":[{"name":"init","resources":{}}],"containers":[{"name":"c","resources":{"limits":{"memory":"96Mi"},"requests":{"cpu":"10m"}}}],"generation":3}`
	if got := resizeTold("started", pod); got != want {
		t.Errorf("%s", got)
	}
}

package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/admission"
)

// resized is the change of a Pod on a node from one spec to another.
func resized(node, subresource string, now, before *corev1.Pod) *admission.Attributes {
	now, before = now.DeepCopy(), before.DeepCopy()
	now.Spec.NodeName, before.Spec.NodeName = node, node
	now.Generation, before.Generation = 2, 1
	return update(now, before, subresource)
}

func TestResizesThatANodeCanMake(t *testing.T) {
	t.Parallel()
	small, big := podThatAsks(amounts("cpu", "1", "memory", "1Gi"), nil), podThatAsks(amounts("cpu", "4", "memory", "8Gi"), nil)
	node := nodeNamed("n", func(n *corev1.Node) { n.Status.Allocatable = amounts("cpu", "2", "memory", "4Gi") })
	windows := nodeNamed("w", func(n *corev1.Node) { n.Labels[corev1.LabelOSStable] = "windows" })
	unchanged := resized("n", "resize", big, small)
	unchanged.OldObject.(*corev1.Pod).Generation = 2
	for name, test := range map[string]struct {
		request *admission.Attributes
		want    string
	}{
		"it fits":           {resized("n", "resize", small, big), ""},
		"too big":           {resized("n", "resize", big, small), "node didn't have enough allocatable resources: cpu, requested: 4000, allocatable: 2000; memory, requested: 8589934592, allocatable: 4294967296"},
		"of another system": {resized("w", "resize", small, big), `pod resize is only supported on linux nodes, node "w" is "windows"`},
		"no node":           {resized("gone", "resize", small, big), `pods "p" is forbidden: node "gone" not found`},
		"not on a node yet": {resized("", "resize", big, small), ""},
		"not a resize":      {resized("n", "", big, small), ""},
		"a spec that stays": {unchanged, ""},
	} {
		plugin, _ := world(t, podResize, node, windows)
		agree(t, name, run(t, plugin, test.request), test.want)
	}
	plugin, _ := world(t, podResize, node)
	err := plugin.Validate(t.Context(), resized("n", "resize", big, small))
	if !apierrors.HasStatusCause(err, "NodeCapacity") {
		t.Errorf("no cause: %#v", err)
	}
}

func TestFeaturesThatANodeDeclares(t *testing.T) {
	t.Parallel()
	plain := podThatAsks(amounts("cpu", "1"), nil)
	whole := plain.DeepCopy()
	whole.Spec.Resources = &corev1.ResourceRequirements{Requests: amounts("cpu", "2")}
	begins, beginsBigger := plain.DeepCopy(), plain.DeepCopy()
	begins.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	beginsBigger.Spec.InitContainers = []corev1.Container{{Name: "i", Resources: corev1.ResourceRequirements{Requests: amounts("cpu", "1")}}}
	always := corev1.ContainerRestartPolicyAlways
	stays, staysBigger := begins.DeepCopy(), beginsBigger.DeepCopy()
	stays.Spec.InitContainers[0].RestartPolicy, staysBigger.Spec.InitContainers[0].RestartPolicy = &always, &always
	able := nodeNamed("able", func(n *corev1.Node) {
		n.Status.DeclaredFeatures = []string{"InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"}
	})
	for name, test := range map[string]struct {
		request *admission.Attributes
		want    string
	}{
		"containers need nothing":  {resized("plain", "resize", podThatAsks(amounts("cpu", "2"), nil), plain), ""},
		"the Pod as a whole":       {resized("plain", "resize", whole, plain), `pods "p" is forbidden: pod update requires features InPlacePodLevelResourcesVerticalScaling which are not available on node "plain"`},
		"the Pod on an able node":  {resized("able", "resize", whole, plain), ""},
		"an init container":        {resized("plain", "resize", beginsBigger, begins), `pod update requires features InPlacePodVerticalScalingInitContainers which are not available on node "plain"`},
		"it, on an able node":      {resized("able", "resize", beginsBigger, begins), ""},
		"one that keeps running":   {resized("plain", "resize", staysBigger, stays), ""},
		"another subresource":      {resized("plain", "status", whole, plain), ""},
		"a node that is not there": {resized("gone", "resize", whole, plain), `node "gone" not found`},
		"a Pod that is not on one": {resized("", "resize", whole, plain), ""},
	} {
		plugin, _ := world(t, declaredFeatures, able, nodeNamed("plain", func(*corev1.Node) {}))
		agree(t, name, run(t, plugin, test.request), test.want)
	}
}

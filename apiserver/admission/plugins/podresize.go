package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/resource/quota"
)

// changedOnNode returns both forms of a Pod that is on a node and whose spec changes; pod is nil for any other request.
func changedOnNode(a *admission.Attributes) (pod, old *corev1.Pod) {
	pod, ok := a.Object.(*corev1.Pod)
	old, okOld := a.OldObject.(*corev1.Pod)
	if !ok || !okOld || pod.Spec.NodeName == "" || pod.Generation == old.Generation {
		return nil, nil
	}
	return pod, old
}

// nodeOf finds a Pod's node.
func nodeOf(a *admission.Attributes, lister corelisters.NodeLister, pod *corev1.Pod) (*corev1.Node, error) {
	node, err := lister.Get(pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return nil, refuse(a, "node %q not found", pod.Spec.NodeName)
	}
	if err != nil {
		return nil, refuse(a, "failed to get node %q: %w", pod.Spec.NodeName, err)
	}
	return node, nil
}

// podResize refuses to resize a Pod to what its node can never give, or on nodes that cannot resize: the kubelet would only find it
// infeasible later. https://kep.k8s.io/1287
func podResize(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Core().V1().Nodes().Lister()
	validate := func(_ context.Context, a *admission.Attributes) error {
		pod, _ := changedOnNode(a)
		if pod == nil || !is(a, "", "pods", "resize") {
			return nil
		}
		node, err := nodeOf(a, lister, pod)
		if err != nil {
			return err
		}
		if system, labelled := node.Labels[corev1.LabelOSStable]; labelled && system != string(corev1.Linux) {
			return notResized(a, "UnsupportedPlatform", fmt.Errorf("pod resize is only supported on linux nodes, node %q is %q", node.Name, system))
		}
		if lacks := lacking(pod, node.Status.Allocatable); len(lacks) > 0 {
			return notResized(a, "NodeCapacity", errors.New("node didn't have enough allocatable resources: "+strings.Join(lacks, "; ")))
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Update}, Validate: validate}, nil
}

// notResized is forbidden with a cause that programs can tell apart.
func notResized(a *admission.Attributes, cause metav1.CauseType, why error) error {
	err := apierrors.NewForbidden(groupResource(a), a.ObjectName(), why)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: cause})
	return err
}

// lacking says of what a Pod wants more than a node has at all. What it has at present does not matter: only the spec counts.
func lacking(pod *corev1.Pod, allocatable corev1.ResourceList) (list []string) {
	wanted := quota.Requests(&corev1.Pod{Spec: pod.Spec})
	if cpu := wanted.Cpu(); cpu.Cmp(*allocatable.Cpu()) > 0 {
		list = append(list, fmt.Sprintf("cpu, requested: %d, allocatable: %d", cpu.MilliValue(), allocatable.Cpu().MilliValue()))
	}
	if memory := wanted.Memory(); memory.Cmp(*allocatable.Memory()) > 0 {
		list = append(list, fmt.Sprintf("memory, requested: %d, allocatable: %d", memory.Value(), allocatable.Memory().Value()))
	}
	return list
}

// updateNeeds are the features that a kubelet must declare for a change of a Pod's spec to take effect, by their names.
var updateNeeds = []struct {
	feature string
	needed  func(pod, old *corev1.PodSpec) bool
}{
	{"InPlacePodLevelResourcesVerticalScaling", func(pod, old *corev1.PodSpec) bool {
		return !equality.Semantic.DeepEqual(pod.Resources, old.Resources)
	}},
	{"InPlacePodVerticalScalingInitContainers", resizesInit},
}

// resizesInit says whether the resources of an init container change that is not to keep running.
func resizesInit(pod, old *corev1.PodSpec) bool {
	for i := range min(len(pod.InitContainers), len(old.InitContainers)) {
		now, before := &pod.InitContainers[i], &old.InitContainers[i]
		stays := before.RestartPolicy != nil && *before.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if !stays && !equality.Semantic.DeepEqual(now.Resources, before.Resources) {
			return true
		}
	}
	return false
}

// declaredFeatures refuses changes to a Pod that its node's kubelet does not know how to make. https://kep.k8s.io/5328
func declaredFeatures(env *Env) (admission.Plugin, error) {
	lister := env.Set.Informers.Core().V1().Nodes().Lister()
	validate := func(_ context.Context, a *admission.Attributes) error {
		pod, old := changedOnNode(a)
		if pod == nil || !is(a, "", "pods", "") && !is(a, "", "pods", "resize") {
			return nil
		}
		var needed []string
		for _, n := range updateNeeds {
			if n.needed(&pod.Spec, &old.Spec) {
				needed = append(needed, n.feature)
			}
		}
		if len(needed) == 0 {
			return nil
		}
		node, err := nodeOf(a, lister, pod)
		if err != nil {
			return err
		}
		lacks := slices.DeleteFunc(needed, func(feature string) bool { return slices.Contains(node.Status.DeclaredFeatures, feature) })
		if len(lacks) > 0 {
			return refuse(a, "pod update requires features %s which are not available on node %q", strings.Join(lacks, ", "), node.Name)
		}
		return nil
	}
	return admission.Plugin{Handles: []admission.Operation{admission.Update}, Validate: validate}, nil
}

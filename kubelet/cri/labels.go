package cri

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/dump"
)

// Labels of sandboxes and containers. They are upstream's own, so that either
// kubelet recognises the other's containers, and tools such as crictl filter by
// them.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name"
)

// Annotations of containers: what a later kubelet must know of a container whose
// Pod may be gone by then.
const (
	AnnotationHash                   = "io.kubernetes.container.hash"
	AnnotationRestartCount           = "io.kubernetes.container.restartCount"
	AnnotationTerminationMessagePath = "io.kubernetes.container.terminationMessagePath"
	AnnotationTerminationPolicy      = "io.kubernetes.container.terminationMessagePolicy"
	AnnotationPreStop                = "io.kubernetes.container.preStopHandler"
	AnnotationPorts                  = "io.kubernetes.container.ports"
	AnnotationGracePeriod            = "io.kubernetes.pod.terminationGracePeriod"
	AnnotationDeletionGracePeriod    = "io.kubernetes.pod.deletionGracePeriod"
)

// PodLabels returns the labels of a pod's sandbox: the pod's own and those that
// identify it.
func PodLabels(pod *v1.Pod) map[string]string {
	labels := make(map[string]string, len(pod.Labels)+3)
	for k, v := range pod.Labels {
		labels[k] = v
	}
	labels[LabelPodName] = pod.Name
	labels[LabelPodNamespace] = pod.Namespace
	labels[LabelPodUID] = string(pod.UID)
	return labels
}

// ContainerLabels returns the labels of one of a pod's containers.
func ContainerLabels(pod *v1.Pod, container string) map[string]string {
	return map[string]string{
		LabelPodName:       pod.Name,
		LabelPodNamespace:  pod.Namespace,
		LabelPodUID:        string(pod.UID),
		LabelContainerName: container,
	}
}

// ContainerAnnotations returns the annotations of one of a pod's containers that
// starts for the restartCount'th time after its first.
func ContainerAnnotations(pod *v1.Pod, c *v1.Container, restartCount int) (map[string]string, error) {
	annotations := map[string]string{
		AnnotationHash:                   Hash(c),
		AnnotationRestartCount:           strconv.Itoa(restartCount),
		AnnotationTerminationMessagePath: c.TerminationMessagePath,
		AnnotationTerminationPolicy:      string(c.TerminationMessagePolicy),
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		annotations[AnnotationGracePeriod] = strconv.FormatInt(*pod.Spec.TerminationGracePeriodSeconds, 10)
	}
	if pod.DeletionGracePeriodSeconds != nil {
		annotations[AnnotationDeletionGracePeriod] = strconv.FormatInt(*pod.DeletionGracePeriodSeconds, 10)
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		raw, err := json.Marshal(c.Lifecycle.PreStop)
		if err != nil {
			return nil, fmt.Errorf("preStop hook of container %q: %w", c.Name, err)
		}
		annotations[AnnotationPreStop] = string(raw)
	}
	if len(c.Ports) > 0 {
		raw, err := json.Marshal(c.Ports)
		if err != nil {
			return nil, fmt.Errorf("ports of container %q: %w", c.Name, err)
		}
		annotations[AnnotationPorts] = string(raw)
	}
	return annotations, nil
}

// Hash identifies what of a container cannot change while it runs: its name and
// image. A running container with another hash is restarted. The value is the
// one that upstream writes, so that changing kubelets restarts nothing.
func Hash(c *v1.Container) string {
	raw, err := json.Marshal(map[string]string{"name": c.Name, "image": c.Image})
	if err != nil {
		// A map of strings always encodes.
		panic(err)
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(raw))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// ByPod selects the sandboxes or containers of one pod.
func ByPod(uid types.UID) map[string]string {
	return map[string]string{LabelPodUID: string(uid)}
}

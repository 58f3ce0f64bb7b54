package cri

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
)

// Reference returns the object of an event about one of the pod's containers,
// with the container's place in the spec as its field path, or about the pod if
// the name is empty.
func Reference(pod *v1.Pod, container string) *v1.ObjectReference {
	ref := &v1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
		ResourceVersion: pod.ResourceVersion,
	}
	if container == "" {
		return ref
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == container {
			ref.FieldPath = fmt.Sprintf("spec.initContainers{%s}", container)
		}
	}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == container {
			ref.FieldPath = fmt.Sprintf("spec.containers{%s}", container)
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == container {
			ref.FieldPath = fmt.Sprintf("spec.ephemeralContainers{%s}", container)
		}
	}
	return ref
}

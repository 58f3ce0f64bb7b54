package pod

import (
	"encoding/json"

	v1 "k8s.io/api/core/v1"
)

// resized is what events of a resize tell beside words, for programs to read.
type resized struct {
	InitContainers []resizedContainer `json:"initContainers,omitempty"`
	Containers     []resizedContainer `json:"containers,omitempty"`
	Generation     int64              `json:"generation"`
}

type resizedContainer struct {
	Name      string                  `json:"name"`
	Resources v1.ResourceRequirements `json:"resources"`
}

// resizeTold is the message of an event about a step of a resize.
func resizeTold(step string, pod *v1.Pod) string {
	summary := resized{InitContainers: resourcesOf(pod.Spec.InitContainers), Containers: resourcesOf(pod.Spec.Containers), Generation: pod.Generation}
	words := "Pod resize " + step
	text, err := json.Marshal(summary)
	if err != nil {
		return words // a quantity that cannot be written
	}
	return words + ": " + string(text)
}

func resourcesOf(containers []v1.Container) []resizedContainer {
	var list []resizedContainer
	for i := range containers {
		list = append(list, resizedContainer{containers[i].Name, containers[i].Resources})
	}
	return list
}

package device

import (
	"context"
	"fmt"
	"sort"

	corev1 "k8s.io/api/core/v1"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// lister answers monitoring agents: which Pod has which devices.
type lister struct {
	podresources.UnimplementedPodResourcesListerServer
	devices *Devices
}

// List tells about all Pods of the node that have not ended.
func (l *lister) List(context.Context, *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	response := &podresources.ListPodResourcesResponse{}
	for _, pod := range l.devices.config.Pods() {
		response.PodResources = append(response.PodResources, l.devices.of(pod))
	}
	return response, nil
}

// Get tells about one Pod.
func (l *lister) Get(_ context.Context, request *podresources.GetPodResourcesRequest) (*podresources.GetPodResourcesResponse, error) {
	for _, pod := range l.devices.config.Pods() {
		if pod.Name == request.PodName && pod.Namespace == request.PodNamespace {
			return &podresources.GetPodResourcesResponse{PodResources: l.devices.of(pod)}, nil
		}
	}
	return nil, fmt.Errorf("pod %s in namespace %s not found", request.PodName, request.PodNamespace)
}

// GetAllocatableResources tells what there is to give.
func (l *lister) GetAllocatableResources(context.Context, *podresources.AllocatableResourcesRequest) (*podresources.AllocatableResourcesResponse, error) {
	d := l.devices
	d.mu.Lock()
	defer d.mu.Unlock()
	response := &podresources.AllocatableResourcesResponse{}
	for name, plugin := range d.plugins {
		var ids []string
		for id, device := range plugin.devices {
			if device.Health == deviceplugin.Healthy {
				ids = append(ids, id)
			}
		}
		response.Devices = append(response.Devices, plugin.describe(name, ids)...)
	}
	return response, nil
}

// of lists a Pod's containers with their devices.
func (d *Devices) of(pod *corev1.Pod) *podresources.PodResources {
	d.mu.Lock()
	defer d.mu.Unlock()
	result := &podresources.PodResources{Name: pod.Name, Namespace: pod.Namespace}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			result.Containers = append(result.Containers, d.container(pod, c.Name))
		}
	}
	for i := range pod.Spec.Containers {
		result.Containers = append(result.Containers, d.container(pod, pod.Spec.Containers[i].Name))
	}
	return result
}

// container is one container's entry. d.mu is held.
func (d *Devices) container(pod *corev1.Pod, name string) *podresources.ContainerResources {
	result := &podresources.ContainerResources{Name: name}
	for resource, g := range d.given[owner{pod.UID, name}] {
		result.Devices = append(result.Devices, d.plugins[resource].describe(resource, g.IDs)...)
	}
	return result
}

// describe lists devices with where they are. A plugin that is not known (yet) has no places.
func (p *plugin) describe(resource string, ids []string) []*podresources.ContainerDevices {
	ids = append([]string(nil), ids...)
	sort.Strings(ids)
	var list []*podresources.ContainerDevices
	for _, id := range ids {
		entry := &podresources.ContainerDevices{ResourceName: resource, DeviceIds: []string{id}}
		if p != nil && p.devices[id] != nil && p.devices[id].Topology != nil {
			entry.Topology = &podresources.TopologyInfo{}
			for _, node := range p.devices[id].Topology.Nodes {
				entry.Topology.Nodes = append(entry.Topology.Nodes, &podresources.NUMANode{ID: node.ID})
			}
		}
		list = append(list, entry)
	}
	return list
}

package device

import (
	"context"
	"fmt"
	"slices"
	"sort"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// Allocate gives a container the devices that its limits ask for, or those again that it already has, and returns what its plugins want done for
// it; nil if it asks for none. The error is upstream's where there are not enough.
func (d *Devices) Allocate(ctx context.Context, pod *corev1.Pod, container *corev1.Container) (*Allocation, error) {
	d.allocating.Lock()
	defer d.allocating.Unlock()
	var result *Allocation
	for _, name := range wanted(container) {
		plugin := d.plugin(name)
		if plugin == nil {
			continue // of some other kind
		}
		quantity := container.Resources.Limits[corev1.ResourceName(name)]
		g, err := d.grant(ctx, plugin, pod, container.Name, int(quantity.Value()))
		if err != nil {
			return nil, err
		}
		if plugin.options.PreStartRequired && !d.hasEnded(plugin) {
			if _, err := plugin.client.PreStartContainer(ctx, &deviceplugin.PreStartContainerRequest{DevicesIds: g.IDs}); err != nil {
				return nil, fmt.Errorf("device plugin PreStartContainer rpc failed with err: %w", err)
			}
		}
		if result == nil {
			result = &Allocation{Env: map[string]string{}, Annotations: map[string]string{}}
		}
		result.add(g.Response)
	}
	return result, nil
}

// wanted are the names of the resources that a container limits, in order.
func wanted(container *corev1.Container) []string {
	var names []string
	for name, quantity := range container.Resources.Limits {
		if !quantity.IsZero() && Extended(string(name)) {
			names = append(names, string(name))
		}
	}
	sort.Strings(names)
	return names
}

func (d *Devices) plugin(resource string) *plugin {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.plugins[resource]
}

func (d *Devices) hasEnded(p *plugin) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return p.ended
}

// grant returns what the container has of a resource, giving it count devices if it has none.
func (d *Devices) grant(ctx context.Context, p *plugin, pod *corev1.Pod, container string, count int) (*grant, error) {
	who := owner{pod.UID, container}
	d.mu.Lock()
	have := d.given[who][p.resource]
	d.mu.Unlock()
	if have != nil {
		return have, nil
	}
	ids, err := d.choose(ctx, p, pod, container, count)
	if err != nil {
		return nil, err
	}
	response, err := p.client.Allocate(ctx, &deviceplugin.AllocateRequest{ContainerRequests: []*deviceplugin.ContainerAllocateRequest{{DevicesIds: ids}}})
	if err != nil {
		return nil, fmt.Errorf("allocate failed due to rpc error: %w", err)
	}
	if len(response.ContainerResponses) == 0 {
		return nil, fmt.Errorf("no containers return in allocation response %v", response)
	}
	g := &grant{IDs: ids, Response: response.ContainerResponses[0]}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.given[who] == nil {
		d.given[who] = map[string]*grant{}
	}
	d.given[who][p.resource] = g
	d.save()
	return g, nil
}

// choose picks devices: first those of the Pod's init containers, which have ended by then, then free ones, as the plugin prefers.
func (d *Devices) choose(ctx context.Context, p *plugin, pod *corev1.Pod, container string, count int) ([]string, error) {
	inherited, free := d.candidates(p, pod, container)
	if len(inherited) >= count {
		return inherited[:count], nil
	}
	need := count - len(inherited)
	if len(free) < need {
		return nil, fmt.Errorf("requested number of devices unavailable for %s. Requested: %d, Available: %d", p.resource, need, len(free))
	}
	if p.options.GetPreferredAllocationAvailable && need < len(free) {
		if preferred := p.prefer(ctx, free, inherited, count); preferred != nil {
			return preferred, nil
		}
	}
	return append(inherited, free[:need]...), nil
}

// prefer asks the plugin which devices go well together; nil if its answer is of no use.
func (p *plugin) prefer(ctx context.Context, free, must []string, count int) []string {
	response, err := p.client.GetPreferredAllocation(ctx, &deviceplugin.PreferredAllocationRequest{
		ContainerRequests: []*deviceplugin.ContainerPreferredAllocationRequest{{
			AvailableDeviceIDs: append(slices.Clone(free), must...), MustIncludeDeviceIDs: must, AllocationSize: int32(count),
		}},
	})
	if err != nil || len(response.ContainerResponses) == 0 {
		return nil
	}
	ids := response.ContainerResponses[0].DeviceIDs
	if len(ids) != count {
		return nil
	}
	for _, id := range ids {
		if !slices.Contains(free, id) && !slices.Contains(must, id) {
			return nil
		}
	}
	return ids
}

// candidates are the devices that the container inherits from init containers of its Pod, and the healthy ones that nobody has.
func (d *Devices) candidates(p *plugin, pod *corev1.Pod, container string) (inherited, free []string) {
	alive := map[types.UID]bool{pod.UID: true}
	for _, other := range d.config.Pods() {
		alive[other.UID] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := map[string]bool{}
	for who, grants := range d.given {
		if !alive[who.pod] {
			delete(d.given, who)
			continue
		}
		g := grants[p.resource]
		if g == nil {
			continue
		}
		for _, id := range g.IDs {
			taken[id] = true
		}
		if who.pod == pod.UID && passesOn(pod, who.container, container) {
			inherited = append(inherited, g.IDs...)
		}
	}
	for id, device := range p.devices {
		if device.Health == deviceplugin.Healthy && !taken[id] {
			free = append(free, id)
		}
	}
	sort.Strings(inherited)
	sort.Strings(free)
	inherited = d.unshared(slices.Compact(inherited), pod, p.resource)
	return inherited, free
}

// passesOn says whether a container's devices go over to another of its Pod: from init containers that end, to all that come later.
func passesOn(pod *corev1.Pod, from, to string) bool {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		switch c.Name {
		case from:
			return !sidecar
		case to:
			return false // it comes before
		}
	}
	return false
}

// unshared leaves out devices that another container of the Pod, one that runs on, has inherited already. d.mu is held.
func (d *Devices) unshared(ids []string, pod *corev1.Pod, resource string) []string {
	kept := map[string]bool{}
	lasting := func(name string) {
		if g := d.given[owner{pod.UID, name}][resource]; g != nil {
			for _, id := range g.IDs {
				kept[id] = true
			}
		}
	}
	for i := range pod.Spec.Containers {
		lasting(pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			lasting(c.Name)
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return kept[id] })
}

// add takes in what one plugin wants done.
func (a *Allocation) add(response *deviceplugin.ContainerAllocateResponse) {
	for name, value := range response.Envs {
		a.Env[name] = value
	}
	for name, value := range response.Annotations {
		a.Annotations[name] = value
	}
	for _, mount := range response.Mounts {
		a.Mounts = append(a.Mounts, &runtimeapi.Mount{ContainerPath: mount.ContainerPath, HostPath: mount.HostPath, Readonly: mount.ReadOnly})
	}
	for _, device := range response.Devices {
		a.Devices = append(a.Devices, &runtimeapi.Device{ContainerPath: device.ContainerPath, HostPath: device.HostPath, Permissions: device.Permissions})
	}
	for _, device := range response.CdiDevices {
		a.CDIDevices = append(a.CDIDevices, &runtimeapi.CDIDevice{Name: device.Name})
	}
}

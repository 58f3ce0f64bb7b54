package kubelet

import (
	"context"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/device"
	"github.com/septet-io/septet/kubelet/pod"
)

// podDevices gives pods' workers the node's devices in their own words.
type podDevices struct{ *device.Devices }

// Allocate implements pod.Devices.
func (d podDevices) Allocate(ctx context.Context, p *v1.Pod, c *v1.Container) (*pod.Allocation, error) {
	given, err := d.Devices.Allocate(ctx, p, c)
	if err != nil || given == nil {
		return nil, err
	}
	return &pod.Allocation{
		Env: given.Env, Mounts: given.Mounts, Devices: given.Devices, CDIDevices: given.CDIDevices, Annotations: given.Annotations,
	}, nil
}

func (k *Kubelet) buildDevices() error {
	var err error
	k.devices, err = device.New(device.Config{
		Dir: filepath.Join(k.config.RootDir, "device-plugins"), PodResourcesDir: filepath.Join(k.config.RootDir, "pod-resources"),
		Changed: func() { k.node.Kick() }, Pods: k.active,
	})
	return err
}

// runDevices serves device plugins until ctx ends. A node without them is a node.
func (k *Kubelet) runDevices(ctx context.Context) {
	if err := k.devices.Run(ctx); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Device plugins cannot register")
	}
}

// active are the pods that have not ended.
func (k *Kubelet) active() []*v1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.othersLocked("")
}

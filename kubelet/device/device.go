// Package device takes in device plugins (the v1beta1 protocol): it counts the devices that they offer as extended resources of the node, hands
// them out to containers, remembers who has which across restarts, and tells monitoring agents (the podresources v1 service).
package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// Config says where plugins meet the node agent.
type Config struct {
	// Dir is where plugins look for kubelet.sock and put their own sockets: <root>/device-plugins.
	Dir string
	// PodResourcesDir is where monitoring agents look for kubelet.sock: <root>/pod-resources. Empty: they are told nothing.
	PodResourcesDir string
	// Changed is called when what the node has to offer has changed.
	Changed func()
	// Pods returns the Pods of this node that have not ended: what they have is not given to others.
	Pods func() []*corev1.Pod
}

// Allocation is what a container gets from plugins for the devices that it was given.
type Allocation struct {
	Env         map[string]string
	Mounts      []*runtimeapi.Mount
	Devices     []*runtimeapi.Device
	CDIDevices  []*runtimeapi.CDIDevice
	Annotations map[string]string
}

// Devices are those of one node. Safe for concurrent use.
type Devices struct {
	config Config

	// allocating is held while devices are chosen and asked for: no two containers may be promised one.
	allocating sync.Mutex

	mu sync.Mutex
	// plugins by resource name.
	plugins map[string]*plugin
	// given says what each container has.
	given map[owner]map[string]*grant
}

// owner is a container of a Pod.
type owner struct {
	pod       types.UID
	container string
}

// grant is devices of one resource given to a container, with the plugin's answer.
type grant struct {
	IDs      []string
	Response *deviceplugin.ContainerAllocateResponse
}

// New returns Devices that remember what an earlier run of the agent gave away, and which resources it had plugins for.
func New(config Config) (*Devices, error) {
	d := &Devices{config: config, plugins: map[string]*plugin{}, given: map[owner]map[string]*grant{}}
	return d, errors.Join(d.load(), d.recall())
}

// Run serves the plugins' and monitors' sockets until ctx ends.
func (d *Devices) Run(ctx context.Context) error {
	if err := d.sweep(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	registry := grpc.NewServer()
	deviceplugin.RegisterRegistrationServer(registry, &registrar{devices: d, ctx: ctx})
	servers := map[string]*grpc.Server{filepath.Join(d.config.Dir, socketName): registry}
	if d.config.PodResourcesDir != "" {
		monitors := grpc.NewServer()
		podresources.RegisterPodResourcesListerServer(monitors, &lister{devices: d})
		servers[filepath.Join(d.config.PodResourcesDir, socketName)] = monitors
	}
	ended := make(chan error, len(servers))
	for path, server := range servers {
		listener, err := listen(path)
		if err != nil {
			return err
		}
		go func() { ended <- server.Serve(listener) }()
		defer server.Stop()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("device plugins: %w", err)
	}
}

const socketName = "kubelet.sock"

func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// sweep removes the sockets of an earlier run: plugins that see theirs go register again.
func (d *Devices) sweep() error {
	entries, err := os.ReadDir(d.config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.Type()&fs.ModeSocket != 0 {
			err = errors.Join(err, os.Remove(filepath.Join(d.config.Dir, entry.Name())))
		}
	}
	return err
}

// Resources returns what the node has of each device resource, and how much of that is healthy.
func (d *Devices) Resources() (capacity, allocatable corev1.ResourceList) {
	d.mu.Lock()
	defer d.mu.Unlock()
	capacity, allocatable = corev1.ResourceList{}, corev1.ResourceList{}
	for name, plugin := range d.plugins {
		healthy := 0
		for _, device := range plugin.devices {
			if device.Health == deviceplugin.Healthy {
				healthy++
			}
		}
		capacity[corev1.ResourceName(name)] = *resource.NewQuantity(int64(len(plugin.devices)), resource.DecimalSI)
		allocatable[corev1.ResourceName(name)] = *resource.NewQuantity(int64(healthy), resource.DecimalSI)
	}
	return capacity, allocatable
}

// Release takes back all that a Pod has.
func (d *Devices) Release(pod types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := false
	for owner := range d.given {
		if owner.pod == pod {
			delete(d.given, owner)
			changed = true
		}
	}
	if changed {
		d.save()
	}
}

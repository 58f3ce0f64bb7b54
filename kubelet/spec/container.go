package spec

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// ContainerInput is what a container is made from besides the pod.
type ContainerInput struct {
	Node         *Node
	RestartCount int
	// Image is the reference that the runtime resolved Ref to (PullImage's or
	// ImageStatus' answer); the container's own is kept beside it.
	ImageRef string
	// ImageUID and ImageUser are what the image says of its user.
	ImageUID  *int64
	ImageUser string
	// Handler is the pod's runtime handler.
	Handler           string
	RecursiveReadOnly bool
	PodIPs            []string
	Env               *Env
	Volumes           map[string]Volume
	SubPath           SubPath
	IDMaps            *IDMaps
	Groups            []int64
	// TargetID is the container whose processes an ephemeral container sees.
	TargetID string
	// TerminationFile is the host's path of the termination message.
	TerminationFile string
	// Devices and further settings from device plugins.
	Devices     []*runtimeapi.Device
	CDIDevices  []*runtimeapi.CDIDevice
	ExtraMounts []*runtimeapi.Mount
	Annotations map[string]string
}

// LogPath is a container's log file below its pod's log folder.
func LogPath(container string, restartCount int) string {
	return filepath.Join(container, strconv.Itoa(restartCount)+".log")
}

// Container returns the configuration of a container. Errors become its
// CreateContainerConfigError.
func Container(pod *v1.Pod, c *v1.Container, in ContainerInput) (*runtimeapi.ContainerConfig, error) {
	if err := CheckNonRoot(pod, c, in.ImageUID, in.ImageUser); err != nil {
		return nil, err
	}
	annotations, err := cri.ContainerAnnotations(pod, c, in.RestartCount)
	if err != nil {
		return nil, err
	}
	for k, v := range in.Annotations {
		annotations[k] = v
	}
	mounts, err := Mounts(c, in.Volumes, in.Env, in.IDMaps, in.RecursiveReadOnly, in.SubPath)
	if err != nil {
		return nil, err
	}
	security, err := SecurityContext(pod, c, in.Node, in.IDMaps, in.Groups, in.TargetID, in.ImageUser)
	if err != nil {
		return nil, err
	}
	config := &runtimeapi.ContainerConfig{
		Metadata:    &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: uint32(in.RestartCount)},
		Image:       &runtimeapi.ImageSpec{Image: in.ImageRef, UserSpecifiedImage: c.Image, RuntimeHandler: in.Handler},
		Command:     ExpandAll(c.Command, in.Env.Lookup),
		Args:        ExpandAll(c.Args, in.Env.Lookup),
		WorkingDir:  c.WorkingDir,
		Envs:        in.Env.List(),
		Mounts:      append(append(mounts, in.ExtraMounts...), ownMounts(pod, c, in)...),
		Devices:     append(in.Devices, blockDevices(c, in.Volumes)...),
		CDIDevices:  in.CDIDevices,
		Labels:      cri.ContainerLabels(pod, c.Name),
		Annotations: annotations,
		LogPath:     LogPath(c.Name, in.RestartCount),
		Stdin:       c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		Linux:       &runtimeapi.LinuxContainerConfig{Resources: Resources(pod, c, in.Node), SecurityContext: security},
	}
	config.StopSignal, err = stopSignal(c)
	return config, err
}

// ownMounts are the hosts file and the termination message.
func ownMounts(pod *v1.Pod, c *v1.Container, in ContainerInput) []*runtimeapi.Mount {
	var mounts []*runtimeapi.Mount
	if !mountsAt(c, "/etc/hosts") && (len(in.PodIPs) > 0 || pod.Spec.HostNetwork) {
		readOnly := c.SecurityContext != nil && c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem
		hosts := &runtimeapi.Mount{ContainerPath: "/etc/hosts", HostPath: in.Node.EtcHosts(pod.UID), Readonly: readOnly, SelinuxRelabel: true}
		if in.IDMaps != nil {
			hosts.UidMappings, hosts.GidMappings = in.IDMaps.uids(), in.IDMaps.gids()
		}
		mounts = append(mounts, hosts)
	}
	if in.TerminationFile != "" && c.TerminationMessagePath != "" {
		message := &runtimeapi.Mount{ContainerPath: c.TerminationMessagePath, HostPath: in.TerminationFile, SelinuxRelabel: true}
		mounts = append(mounts, message)
	}
	return mounts
}

func mountsAt(c *v1.Container, path string) bool {
	for _, m := range c.VolumeMounts {
		if filepath.Clean(m.MountPath) == path {
			return true
		}
	}
	return false
}

// blockDevices are the raw block volumes of the container.
func blockDevices(c *v1.Container, volumes map[string]Volume) []*runtimeapi.Device {
	var devices []*runtimeapi.Device
	for _, d := range c.VolumeDevices {
		volume, ok := volumes[d.Name]
		if !ok {
			continue
		}
		permissions := "mrw"
		if volume.ReadOnly {
			permissions = "r"
		}
		devices = append(devices, &runtimeapi.Device{HostPath: volume.HostPath, ContainerPath: d.DevicePath, Permissions: permissions})
	}
	return devices
}

// stopSignal is the signal that the pod wants instead of the image's.
func stopSignal(c *v1.Container) (runtimeapi.Signal, error) {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return runtimeapi.Signal_RUNTIME_DEFAULT, nil
	}
	name := strings.NewReplacer("+", "PLUS", "-", "MINUS").Replace(string(*c.Lifecycle.StopSignal))
	value, ok := runtimeapi.Signal_value[name]
	if !ok {
		return runtimeapi.Signal_RUNTIME_DEFAULT, fmt.Errorf("unsupported stop signal %q", *c.Lifecycle.StopSignal)
	}
	return runtimeapi.Signal(value), nil
}

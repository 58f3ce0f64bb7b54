package spec

import (
	"fmt"
	"path/filepath"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// SubPath prepares one path within a volume for mounting into a container, and
// returns where on the host it lies. It must not follow links out of the volume.
type SubPath func(volume Volume, mount *v1.VolumeMount, index int, subPath string) (string, error)

var propagations = map[v1.MountPropagationMode]runtimeapi.MountPropagation{
	v1.MountPropagationNone:            runtimeapi.MountPropagation_PROPAGATION_PRIVATE,
	v1.MountPropagationHostToContainer: runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER,
	v1.MountPropagationBidirectional:   runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL,
}

// Mounts returns the mounts of the container's volumes. env expands subPathExpr;
// recursiveReadOnly says that the runtime handler can mount so.
func Mounts(c *v1.Container, volumes map[string]Volume, env *Env, idMaps *IDMaps, recursiveReadOnly bool, subPath SubPath) ([]*runtimeapi.Mount, error) {
	mounts := make([]*runtimeapi.Mount, 0, len(c.VolumeMounts)+2)
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		volume, ok := volumes[m.Name]
		if !ok {
			return nil, fmt.Errorf("cannot find volume %q to mount into container %q", m.Name, c.Name)
		}
		mount, err := oneMount(m, i, volume, env, subPath)
		if err != nil {
			return nil, err
		}
		if mount.RecursiveReadOnly, err = recursive(m, mount.Readonly, recursiveReadOnly); err != nil {
			return nil, err
		}
		if idMaps != nil && mount.Image == nil {
			mount.UidMappings, mount.GidMappings = idMaps.uids(), idMaps.gids()
		}
		mounts = append(mounts, mount)
	}
	return mounts, nil
}

func oneMount(m *v1.VolumeMount, index int, volume Volume, env *Env, subPath SubPath) (*runtimeapi.Mount, error) {
	path, err := expandSubPath(m, env)
	if err != nil {
		return nil, err
	}
	mount := &runtimeapi.Mount{
		ContainerPath:  m.MountPath,
		HostPath:       volume.HostPath,
		Readonly:       m.ReadOnly || volume.ReadOnly,
		SelinuxRelabel: volume.SELinuxRelabel,
	}
	if !filepath.IsAbs(mount.ContainerPath) {
		mount.ContainerPath = "/" + mount.ContainerPath
	}
	if m.MountPropagation != nil {
		propagation, ok := propagations[*m.MountPropagation]
		if !ok {
			return nil, fmt.Errorf("invalid MountPropagation mode: %q", *m.MountPropagation)
		}
		mount.Propagation = propagation
	}
	if volume.Image != nil {
		mount.Image, mount.ImageSubPath, mount.Readonly = volume.Image, path, true
		return mount, nil
	}
	if path != "" {
		if mount.HostPath, err = subPath(volume, m, index, path); err != nil {
			return nil, err
		}
	}
	return mount, nil
}

// expandSubPath returns the mount's path within the volume, which may not lead
// out of it.
func expandSubPath(m *v1.VolumeMount, env *Env) (string, error) {
	path := m.SubPath
	if m.SubPathExpr != "" {
		var missing []string
		path = Expand(m.SubPathExpr, func(name string) (string, bool) {
			v, ok := env.Lookup(name)
			if !ok {
				missing = append(missing, name)
			}
			return v, ok
		})
		if len(missing) > 0 {
			return "", fmt.Errorf("missing value for %q", strings.Join(missing, ", "))
		}
	}
	if filepath.IsAbs(path) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", path)
	}
	for _, part := range strings.Split(path, "/") {
		if part == ".." {
			return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", path)
		}
	}
	return path, nil
}

func recursive(m *v1.VolumeMount, readOnly, supported bool) (bool, error) {
	if m.RecursiveReadOnly == nil || !readOnly {
		return false, nil
	}
	switch *m.RecursiveReadOnly {
	case v1.RecursiveReadOnlyIfPossible:
		return supported, nil
	case v1.RecursiveReadOnlyEnabled:
		if !supported {
			return false, fmt.Errorf("volume %q requested recursive read-only mode, but it is not supported by the runtime", m.Name)
		}
		return true, nil
	}
	return false, nil
}

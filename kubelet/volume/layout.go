package volume

import (
	"path/filepath"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// PodDir is where everything of a Pod lies.
func (v *Volumes) PodDir(pod types.UID) string {
	return filepath.Join(v.config.RootDir, "pods", string(pod))
}

// volumeDir is the place of one volume; plugin is upstream's name such as "kubernetes.io/secret".
func (v *Volumes) volumeDir(pod types.UID, plugin, name string) string {
	return filepath.Join(v.PodDir(pod), "volumes", strings.ReplaceAll(plugin, "/", "~"), name)
}

// subPathFile is where a container's n-th mount finds its subPath.
func (v *Volumes) subPathFile(pod types.UID, volume, container string, n int) string {
	return filepath.Join(v.PodDir(pod), "volume-subpaths", volume, container, strconv.Itoa(n))
}

// The plugin names, which are part of the layout on the disk.
const (
	pluginEmptyDir  = "kubernetes.io/empty-dir"
	pluginConfigMap = "kubernetes.io/configmap"
	pluginSecret    = "kubernetes.io/secret"
	pluginDownward  = "kubernetes.io/downward-api"
	pluginProjected = "kubernetes.io/projected"
	pluginLocal     = "kubernetes.io/local-volume"
	pluginNFS       = "kubernetes.io/nfs"
	pluginCSI       = "kubernetes.io/csi"
)

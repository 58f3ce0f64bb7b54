package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/septet-io/septet/kubelet/volume/mountpoint"
)

func mountEmptyDir(_ context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (Mounted, error) {
	dir := v.volumeDir(p.pod.UID, pluginEmptyDir, volume.Name)
	source := volume.EmptyDir
	var err error
	switch {
	case source.Medium == corev1.StorageMediumDefault:
		err = prepare(dir, false)
	case source.Medium == corev1.StorageMediumMemory:
		var options []string
		if size := memorySize(p.pod, source, v.allocatable()); size > 0 {
			options = append(options, "size="+strconv.FormatInt(size, 10))
		}
		err = prepare(dir, true, options...)
	case isHugePages(source.Medium):
		err = mountHugePages(p.pod, source.Medium, dir)
	default:
		err = fmt.Errorf("unknown storage medium %q", source.Medium)
	}
	if err != nil {
		return Mounted{}, err
	}
	if err := ownRoot(dir, fsGroup(p.pod), false); err != nil {
		return Mounted{}, err
	}
	return Mounted{HostPath: dir}, nil
}

// memorySize bounds a memory volume: what it asks for, what the Pod may use in all and what the node has to give, whichever is least. Zero is no bound.
func memorySize(pod *corev1.Pod, source *corev1.EmptyDirVolumeSource, allocatable corev1.ResourceList) int64 {
	size := int64(0)
	lower := func(bound int64) {
		if bound > 0 && (size == 0 || bound < size) {
			size = bound
		}
	}
	node := allocatable[corev1.ResourceMemory]
	lower(node.Value())
	lower(memoryLimit(pod))
	if source.SizeLimit != nil {
		lower(source.SizeLimit.Value())
	}
	return size
}

// memoryLimit is the sum of the containers' limits, zero if one has none.
func memoryLimit(pod *corev1.Pod) int64 {
	if pod.Spec.Resources != nil {
		if limit, ok := pod.Spec.Resources.Limits[corev1.ResourceMemory]; ok {
			return limit.Value()
		}
	}
	total := int64(0)
	for i := range pod.Spec.Containers {
		limit, ok := pod.Spec.Containers[i].Resources.Limits[corev1.ResourceMemory]
		if !ok || limit.IsZero() {
			return 0
		}
		total += limit.Value()
	}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		if container.RestartPolicy == nil || *container.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		limit, ok := container.Resources.Limits[corev1.ResourceMemory]
		if !ok || limit.IsZero() {
			return 0
		}
		total += limit.Value()
	}
	return total
}

func isHugePages(medium corev1.StorageMedium) bool {
	return medium == corev1.StorageMediumHugePages ||
		len(medium) > len(corev1.StorageMediumHugePagesPrefix) &&
			medium[:len(corev1.StorageMediumHugePagesPrefix)] == corev1.StorageMediumHugePagesPrefix
}

// mountHugePages mounts a hugetlbfs of the page size that the medium names ("HugePages-2Mi"), or that the Pod's only huge page resource does.
func mountHugePages(pod *corev1.Pod, medium corev1.StorageMedium, dir string) error {
	if mounted, err := mountpoint.Is(dir); err != nil || mounted {
		return err
	}
	page, err := hugePageSize(pod, medium)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	bytes := page.Value()
	if _, err := os.Stat(filepath.Join("/sys/kernel/mm/hugepages", fmt.Sprintf("hugepages-%dkB", bytes/1024))); err != nil {
		return fmt.Errorf("huge pages of size %s: %w", page.String(), err)
	}
	if err := mountpoint.Filesystem("nodev", dir, "hugetlbfs", fmt.Sprintf("pagesize=%d", bytes)); err != nil {
		return err
	}
	return openToAll(dir)
}

func hugePageSize(pod *corev1.Pod, medium corev1.StorageMedium) (resource.Quantity, error) {
	if size, named := cutPrefix(string(medium), string(corev1.StorageMediumHugePagesPrefix)); named {
		return resource.ParseQuantity(size)
	}
	found := ""
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for name := range list[i].Resources.Requests {
				size, is := cutPrefix(string(name), corev1.ResourceHugePagesPrefix)
				if !is {
					continue
				}
				if found != "" && found != size {
					return resource.Quantity{}, fmt.Errorf("medium HugePages can be used only if the pod requests one huge page size")
				}
				found = size
			}
		}
	}
	if found == "" {
		return resource.Quantity{}, fmt.Errorf("hugePages storage requested, but there is no resource request for huge pages")
	}
	return resource.ParseQuantity(found)
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) <= len(prefix) || s[:len(prefix)] != prefix {
		return "", false
	}
	return s[len(prefix):], true
}

package kubelet

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/volume"
)

// podVolumes gives pods' workers the node's volumes in the words of package spec.
type podVolumes struct{ *volume.Volumes }

// Mount implements pod.Volumes.
func (v podVolumes) Mount(ctx context.Context, pod *v1.Pod) (map[string]spec.Volume, []int64, error) {
	mounted, err := v.Volumes.Mount(ctx, pod)
	if err != nil {
		return nil, nil, err
	}
	out := make(map[string]spec.Volume, len(mounted))
	var groups []int64
	for name, m := range mounted {
		out[name] = spec.Volume{HostPath: m.HostPath, ReadOnly: m.ReadOnly, SELinuxRelabel: true}
		if m.SupplementalGroup != nil {
			groups = append(groups, *m.SupplementalGroup)
		}
	}
	return out, groups, nil
}

// SubPath implements pod.Volumes.
func (v podVolumes) SubPath(pod types.UID, container string, index int, name string, from spec.Volume, path string) (string, error) {
	return v.Volumes.SubPath(pod, container, index, name, volume.Mounted{HostPath: from.HostPath, ReadOnly: from.ReadOnly}, path)
}

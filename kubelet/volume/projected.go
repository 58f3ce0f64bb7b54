package volume

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/kubelet/volume/downward"
	"github.com/septet-io/septet/kubelet/volume/payload"
)

func downwardFiles(_ context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (payload.Payload, error) {
	return v.fromDownward(p.pod, volume.DownwardAPI.Items, mode(volume.DownwardAPI.DefaultMode))
}

func (v *Volumes) fromDownward(pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode int32) (payload.Payload, error) {
	files := payload.Payload{}
	var errs []error
	for i := range items {
		item := &items[i]
		value, err := v.downwardValue(pod, item)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		file := payload.File{Data: []byte(value), Mode: mode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		files[item.Path] = file
	}
	return files, errors.Join(errs...)
}

func (v *Volumes) downwardValue(pod *corev1.Pod, item *corev1.DownwardAPIVolumeFile) (string, error) {
	switch {
	case item.FieldRef != nil:
		return downward.Field(pod, item.FieldRef.FieldPath)
	case item.ResourceFieldRef != nil:
		container := downward.Container(pod, item.ResourceFieldRef.ContainerName)
		if container == nil {
			return "", fmt.Errorf("container %s not found", item.ResourceFieldRef.ContainerName)
		}
		return downward.Resource(container, item.ResourceFieldRef, v.allocatable())
	}
	return "", fmt.Errorf("downward API file %s refers to nothing", item.Path)
}

func (v *Volumes) allocatable() corev1.ResourceList {
	if v.config.Allocatable == nil {
		return nil
	}
	return v.config.Allocatable()
}

// projectedFiles is the union of the sources; of two files with one path the later source's counts.
func projectedFiles(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (payload.Payload, error) {
	files, errs := payload.Payload{}, []error(nil)
	base := mode(volume.Projected.DefaultMode)
	for i := range volume.Projected.Sources {
		part, err := v.fromSource(ctx, p, &volume.Projected.Sources[i], base)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for path, file := range part {
			files[path] = file
		}
	}
	return files, errors.Join(errs...)
}

func (v *Volumes) fromSource(ctx context.Context, p *podVolumes, source *corev1.VolumeProjection, base int32) (payload.Payload, error) {
	namespace := p.pod.Namespace
	switch {
	case source.Secret != nil:
		return v.fromSecret(ctx, namespace, source.Secret.Name, source.Secret.Items, base, isTrue(source.Secret.Optional))
	case source.ConfigMap != nil:
		return v.fromConfigMap(ctx, namespace, source.ConfigMap.Name, source.ConfigMap.Items, base, isTrue(source.ConfigMap.Optional))
	case source.DownwardAPI != nil:
		return v.fromDownward(p.pod, source.DownwardAPI.Items, base)
	case source.ServiceAccountToken != nil:
		return v.fromToken(ctx, p, source.ServiceAccountToken, base)
	case source.ClusterTrustBundle != nil:
		return v.fromTrustBundle(ctx, source.ClusterTrustBundle, base)
	}
	return nil, errors.New("projected volume source is of a kind that this node agent does not know")
}

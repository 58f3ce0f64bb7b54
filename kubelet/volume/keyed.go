package volume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/kubelet/volume/objects"
	"github.com/septet-io/septet/kubelet/volume/payload"
)

// defaultMode is the mode of files where nothing else is said.
const defaultMode int32 = 0o644

func configMapFiles(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (payload.Payload, error) {
	source := volume.ConfigMap
	return v.fromConfigMap(ctx, p.pod.Namespace, source.Name, source.Items, mode(source.DefaultMode), isTrue(source.Optional))
}

func secretFiles(ctx context.Context, v *Volumes, p *podVolumes, volume *corev1.Volume) (payload.Payload, error) {
	source := volume.Secret
	return v.fromSecret(ctx, p.pod.Namespace, source.SecretName, source.Items, mode(source.DefaultMode), isTrue(source.Optional))
}

func (v *Volumes) fromConfigMap(ctx context.Context, namespace, name string, items []corev1.KeyToPath, mode int32, optional bool) (payload.Payload, error) {
	config, err := v.objects.ConfigMap(ctx, namespace, name)
	if err != nil {
		if optional && apierrors.IsNotFound(err) {
			return payload.Payload{}, nil
		}
		return nil, fmt.Errorf("configmap references: %s/%s: %w", namespace, name, err)
	}
	data := make(map[string][]byte, len(config.Data)+len(config.BinaryData))
	for key, value := range config.Data {
		data[key] = []byte(value)
	}
	for key, value := range config.BinaryData {
		data[key] = value
	}
	return pick(data, items, mode, optional, func(key string) error {
		return fmt.Errorf("configmap references non-existent config key: %s", key)
	})
}

func (v *Volumes) fromSecret(ctx context.Context, namespace, name string, items []corev1.KeyToPath, mode int32, optional bool) (payload.Payload, error) {
	secret, err := v.objects.Secret(ctx, namespace, name)
	if err != nil {
		if optional && apierrors.IsNotFound(err) {
			return payload.Payload{}, nil
		}
		return nil, err
	}
	return pick(secret.Data, items, mode, optional, func(key string) error {
		return fmt.Errorf("references non-existent secret key: %s", key)
	})
}

// pick chooses the keys that items name, or all of them, and gives each its path and mode.
func pick(data map[string][]byte, items []corev1.KeyToPath, mode int32, optional bool, missing func(key string) error) (payload.Payload, error) {
	files := payload.Payload{}
	if len(items) == 0 {
		for key, value := range data {
			files[key] = payload.File{Data: value, Mode: mode}
		}
		return files, nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional {
				continue
			}
			return nil, missing(item.Key)
		}
		file := payload.File{Data: value, Mode: mode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		files[item.Path] = file
	}
	return files, nil
}

// keysOf returns the ConfigMaps and Secrets that the volumes read, each once.
func keysOf(pod *corev1.Pod, volumes []*corev1.Volume) []objects.Key {
	var keys []objects.Key
	seen := map[objects.Key]bool{}
	add := func(kind objects.Kind, name string) {
		key := objects.Key{Kind: kind, Namespace: pod.Namespace, Name: name}
		if name != "" && !seen[key] {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for _, volume := range volumes {
		switch {
		case volume.ConfigMap != nil:
			add(objects.ConfigMap, volume.ConfigMap.Name)
		case volume.Secret != nil:
			add(objects.Secret, volume.Secret.SecretName)
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				if source.ConfigMap != nil {
					add(objects.ConfigMap, source.ConfigMap.Name)
				}
				if source.Secret != nil {
					add(objects.Secret, source.Secret.Name)
				}
			}
		}
	}
	return keys
}

func mode(m *int32) int32 {
	if m == nil {
		return defaultMode
	}
	return *m
}

func isTrue(b *bool) bool { return b != nil && *b }

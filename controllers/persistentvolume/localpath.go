package persistentvolume

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LocalPath makes volumes that are directories of the node on which their first Pod runs.
type LocalPath struct {
	// Provisioner is its name in classes, Root the directory of all volumes on each node.
	Provisioner, Root string
	// Make and Remove are done at the node's directory. Nil Make leaves it to the kubelet, which makes what is missing.
	Make, Remove func(ctx context.Context, node, path string) error
}

// Name is Provisioner.
func (l *LocalPath) Name() string { return l.Provisioner }

// Provision is Provisioner. The class must wait for the first consumer, since a directory is on one node.
func (l *LocalPath) Provision(ctx context.Context, name string, claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, node *corev1.Node) (*corev1.PersistentVolume, error) {
	if node == nil {
		return nil, errors.New("the storage class must have volumeBindingMode WaitForFirstConsumer: a directory is on one node")
	}
	if claim.Spec.Selector != nil {
		return nil, errors.New("claim.Spec.Selector is not supported for dynamic provisioning")
	}
	if modeOf(claim.Spec.VolumeMode) == corev1.PersistentVolumeBlock {
		return nil, errors.New("a directory cannot be a block device")
	}
	for _, mode := range claim.Spec.AccessModes {
		if mode != corev1.ReadWriteOnce && mode != corev1.ReadWriteOncePod {
			return nil, fmt.Errorf("access mode %s is not possible: a directory is on one node", mode)
		}
	}
	path := filepath.Join(l.Root, name)
	if l.Make != nil {
		if err := l.Make(ctx, node.Name, path); err != nil {
			return nil, err
		}
	}
	hostname := node.Labels[corev1.LabelHostname]
	create := corev1.HostPathDirectoryOrCreate
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes: claim.Spec.AccessModes, PersistentVolumeReclaimPolicy: policy, StorageClassName: class.Name,
			MountOptions: class.MountOptions, VolumeMode: claim.Spec.VolumeMode,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &create}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{hostname}}},
			}}}},
		},
	}, nil
}

// Delete is Provisioner.
func (l *LocalPath) Delete(ctx context.Context, volume *corev1.PersistentVolume) error {
	source := volume.Spec.HostPath
	if source == nil || filepath.Dir(source.Path) != filepath.Clean(l.Root) {
		return fmt.Errorf("volume %s is not a directory below %s", volume.Name, l.Root)
	}
	if l.Remove == nil {
		return errors.New("nobody here can remove directories of nodes")
	}
	return l.Remove(ctx, nodeOf(volume), source.Path)
}

func nodeOf(volume *corev1.PersistentVolume) string {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return ""
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, e := range term.MatchExpressions {
			if e.Key == corev1.LabelHostname && len(e.Values) == 1 {
				return e.Values[0]
			}
		}
	}
	return ""
}

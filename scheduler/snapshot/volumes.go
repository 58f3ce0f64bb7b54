package snapshot

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// Volumes are the storage objects that decisions read, under their names ("namespace/name" where they have one). Values are shared and never changed.
type Volumes struct {
	Claims     map[string]*corev1.PersistentVolumeClaim
	Volumes    map[string]*corev1.PersistentVolume
	Classes    map[string]*storagev1.StorageClass
	Nodes      map[string]*storagev1.CSINode
	Drivers    map[string]*storagev1.CSIDriver
	Capacities map[string]*storagev1.CSIStorageCapacity
	// Assumed are volumes that a decision has bound to a claim (by volume name), and Pending the claims whose
	// provisioning has been asked for (by "namespace/name"), before the API server says so.
	Assumed map[string]*corev1.PersistentVolume
	Pending map[string]*corev1.PersistentVolumeClaim
	// Version grows with every change of a claim, volume or class; whoever makes one says so.
	Version uint64
	// users counts the placed pods of a claim.
	users map[string]int32
}

func (v *Volumes) init() {
	*v = Volumes{
		Claims: map[string]*corev1.PersistentVolumeClaim{}, Volumes: map[string]*corev1.PersistentVolume{},
		Classes: map[string]*storagev1.StorageClass{}, Nodes: map[string]*storagev1.CSINode{},
		Drivers: map[string]*storagev1.CSIDriver{}, Capacities: map[string]*storagev1.CSIStorageCapacity{},
		Assumed: map[string]*corev1.PersistentVolume{}, Pending: map[string]*corev1.PersistentVolumeClaim{},
		users: map[string]int32{},
	}
}

func (v *Volumes) clone() Volumes {
	return Volumes{
		Claims: maps.Clone(v.Claims), Volumes: maps.Clone(v.Volumes), Classes: maps.Clone(v.Classes), Nodes: maps.Clone(v.Nodes),
		Drivers: maps.Clone(v.Drivers), Capacities: maps.Clone(v.Capacities), Assumed: maps.Clone(v.Assumed), Pending: maps.Clone(v.Pending),
		users: map[string]int32{}, Version: v.Version,
	}
}

// Claim finds a claim, in its assumed form if there is one.
func (v *Volumes) Claim(key string) *corev1.PersistentVolumeClaim {
	if claim, ok := v.Pending[key]; ok {
		return claim
	}
	return v.Claims[key]
}

// Volume finds a volume, in its assumed form if there is one.
func (v *Volumes) Volume(name string) *corev1.PersistentVolume {
	if volume, ok := v.Assumed[name]; ok {
		return volume
	}
	return v.Volumes[name]
}

// ClaimUsers is how many placed pods use the claim.
func (v *Volumes) ClaimUsers(key string) int32 { return v.users[key] }

func (v *Volumes) place(p *Pod, n int32) {
	volumes := p.Object.Spec.Volumes
	for i := range volumes {
		if name := ClaimName(p.Object, &volumes[i]); name != "" {
			key := p.Object.Namespace + "/" + name
			if v.users[key] += n; v.users[key] <= 0 {
				delete(v.users, key)
			}
		}
	}
}

// ClaimName is the claim that a volume of a pod stands for: a named one, or the one made for an ephemeral volume. "" for other volumes.
func ClaimName(pod *corev1.Pod, volume *corev1.Volume) string {
	switch {
	case volume.PersistentVolumeClaim != nil:
		return volume.PersistentVolumeClaim.ClaimName
	case volume.Ephemeral != nil:
		return pod.Name + "-" + volume.Name
	}
	return ""
}

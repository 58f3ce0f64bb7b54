package core

import (
	"cmp"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// source is one field of a union of volume sources: its JSON name, whether it is set, and its own rules.
type source[T any] struct {
	name  string
	other string // the name under which it is refused beside another source, where that is spelt differently
	set   func(*T) bool
	check func(*T, *field.Path) field.ErrorList
}

// of makes a source from the field's getter and its rules.
func of[T, V any](name string, get func(*T) *V, check func(*V, *field.Path) field.ErrorList) source[T] {
	return source[T]{
		name:  name,
		set:   func(union *T) bool { return get(union) != nil },
		check: func(union *T, path *field.Path) field.ErrorList { return check(get(union), path) },
	}
}

// spelt is the source with another name beside others.
func (s source[T]) spelt(other string) source[T] {
	s.other = other
	return s
}

// checkUnion applies the rules of the first source that is set, and refuses the others.
func checkUnion[T any](sources []source[T], union *T, path *field.Path) (errs field.ErrorList, set int) {
	for _, s := range sources {
		if !s.set(union) {
			continue
		}
		set++
		if set > 1 {
			errs = append(errs, field.Forbidden(path.Child(cmp.Or(s.other, s.name)), manyTypes))
			continue
		}
		errs = append(errs, s.check(union, path.Child(s.name))...)
	}
	return errs, set
}

// volumes checks a pod's volumes and remembers the good ones for the checks of mounts. The pod's metadata is nil
// for templates.
func (c *podCheck) volumes(volumes []corev1.Volume, meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	c.known = make(map[string]*corev1.VolumeSource, len(volumes))
	own := sets.New[string]() // claims that the pod's ephemeral volumes become
	for i := range volumes {
		if meta != nil && meta.Name != "" && volumes[i].Ephemeral != nil {
			own.Insert(meta.Name + "-" + volumes[i].Name)
		}
	}
	for i := range volumes {
		v, at := &volumes[i], path.Index(i)
		found, set := checkUnion(podSources(), &v.VolumeSource, at)
		if c.isPod && v.Image != nil && v.Image.Reference == "" {
			found = append(found, field.Required(at.Child("image", "reference"), ""))
		}
		if set == 0 {
			found = append(found, field.Required(at, "must specify a volume type"))
		}
		if v.Ephemeral != nil && meta != nil && meta.Name != "" && v.Name != "" {
			claim := meta.Name + "-" + v.Name
			for _, m := range apivalidation.NameIsDNSSubdomain(claim, false) {
				found = append(found, field.Invalid(at.Child("name"), v.Name, fmt.Sprintf("PVC name %q: %v", claim, m)))
			}
		}
		found = append(found, label(v.Name, at.Child("name"))...)
		if c.known[v.Name] != nil {
			found = append(found, field.Duplicate(at.Child("name"), v.Name))
		}
		if len(found) == 0 {
			c.known[v.Name] = &v.VolumeSource
		}
		errs = append(errs, found...)
		if p := v.PersistentVolumeClaim; p != nil && own.Has(p.ClaimName) {
			errs = append(errs, field.Invalid(at.Child("persistentVolumeClaim", "claimName"), p.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume"))
		}
	}
	return errs
}

// podSources are the volume types of pods, in the order in which they are checked.
var podSources = sync.OnceValue(func() []source[corev1.VolumeSource] {
	type vs = corev1.VolumeSource
	return []source[vs]{
		of("emptyDir", func(v *vs) *corev1.EmptyDirVolumeSource { return v.EmptyDir }, checkEmptyDir),
		of("hostPath", func(v *vs) *corev1.HostPathVolumeSource { return v.HostPath }, checkHostPath),
		of("gitRepo", func(v *vs) *corev1.GitRepoVolumeSource { return v.GitRepo }, checkGitRepo),
		of("gcePersistentDisk", func(v *vs) *corev1.GCEPersistentDiskVolumeSource { return v.GCEPersistentDisk }, checkGCE),
		of("awsElasticBlockStore", func(v *vs) *corev1.AWSElasticBlockStoreVolumeSource { return v.AWSElasticBlockStore }, checkAWS),
		of("secret", func(v *vs) *corev1.SecretVolumeSource { return v.Secret }, checkSecretVolume),
		of("nfs", func(v *vs) *corev1.NFSVolumeSource { return v.NFS }, checkNFS),
		of("iscsi", func(v *vs) *corev1.ISCSIVolumeSource { return v.ISCSI }, checkISCSI),
		of("glusterfs", func(v *vs) *corev1.GlusterfsVolumeSource { return v.Glusterfs }, checkGlusterfs),
		of("flocker", func(v *vs) *corev1.FlockerVolumeSource { return v.Flocker }, checkFlocker),
		of("persistentVolumeClaim", func(v *vs) *corev1.PersistentVolumeClaimVolumeSource { return v.PersistentVolumeClaim }, checkClaimVolume),
		of("rbd", func(v *vs) *corev1.RBDVolumeSource { return v.RBD }, checkRBD),
		of("cinder", func(v *vs) *corev1.CinderVolumeSource { return v.Cinder }, checkCinder),
		of("cephfs", func(v *vs) *corev1.CephFSVolumeSource { return v.CephFS }, checkCephFS).spelt("cephFS"),
		of("quobyte", func(v *vs) *corev1.QuobyteVolumeSource { return v.Quobyte }, checkQuobyte),
		of("downwardAPI", func(v *vs) *corev1.DownwardAPIVolumeSource { return v.DownwardAPI }, checkDownwardVolume).spelt("downwarAPI"),
		of("fc", func(v *vs) *corev1.FCVolumeSource { return v.FC }, checkFC),
		of("flexVolume", func(v *vs) *corev1.FlexVolumeSource { return v.FlexVolume }, checkFlex),
		of("configMap", func(v *vs) *corev1.ConfigMapVolumeSource { return v.ConfigMap }, checkConfigMapVolume),
		of("azureFile", func(v *vs) *corev1.AzureFileVolumeSource { return v.AzureFile }, checkAzureFile),
		of("vsphereVolume", func(v *vs) *corev1.VsphereVirtualDiskVolumeSource { return v.VsphereVolume }, checkVsphere),
		of("photonPersistentDisk", func(v *vs) *corev1.PhotonPersistentDiskVolumeSource { return v.PhotonPersistentDisk }, checkPhoton),
		of("portworxVolume", func(v *vs) *corev1.PortworxVolumeSource { return v.PortworxVolume }, checkPortworx),
		of("azureDisk", func(v *vs) *corev1.AzureDiskVolumeSource { return v.AzureDisk }, checkAzureDisk),
		of("storageos", func(v *vs) *corev1.StorageOSVolumeSource { return v.StorageOS }, checkStorageOS),
		of("projected", func(v *vs) *corev1.ProjectedVolumeSource { return v.Projected }, checkProjected),
		of("scaleIO", func(v *vs) *corev1.ScaleIOVolumeSource { return v.ScaleIO }, checkScaleIO),
		of("csi", func(v *vs) *corev1.CSIVolumeSource { return v.CSI }, checkCSIVolume),
		of("ephemeral", func(v *vs) *corev1.EphemeralVolumeSource { return v.Ephemeral }, checkEphemeral),
		of("image", func(v *vs) *corev1.ImageVolumeSource { return v.Image }, checkImageVolume),
	}
})

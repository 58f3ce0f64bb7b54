package core

import (
	"path"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

func validatePersistentVolume(_ *resource.Request, volume *corev1.PersistentVolume) field.ErrorList {
	return ValidateVolumeSpec(&volume.Spec, false, specPath)
}

// ValidateVolumeSpec checks the spec of a PersistentVolume, or with inline that of a volume inside a VolumeAttachment.
func ValidateVolumeSpec(spec *corev1.PersistentVolumeSpec, inline bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if inline {
		errs = append(errs, inlineVolume(spec, at)...)
	}
	if len(spec.AccessModes) == 0 {
		errs = append(errs, field.Required(at.Child("accessModes"), ""))
	}
	errs = append(errs, checkAccessModes(spec.AccessModes, at.Child("accessModes"))...)
	if !inline {
		errs = append(errs, capacity(spec.Capacity, at.Child("capacity"))...)
		if spec.PersistentVolumeReclaimPolicy != "" {
			errs = append(errs, OneOf(spec.PersistentVolumeReclaimPolicy, at.Child("persistentVolumeReclaimPolicy"),
				corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
		}
		if spec.StorageClassName != "" {
			errs = append(errs, DNSSubdomain(spec.StorageClassName, at.Child("storageClassName"))...)
		}
	}
	errs = append(errs, volumeAffinity(spec, at)...)
	more, set := checkUnion(persistentSources(), &spec.PersistentVolumeSource, at)
	errs = append(errs, more...)
	if set == 0 {
		errs = append(errs, field.Required(at, "must specify a volume type"))
	}
	if spec.HostPath != nil && path.Clean(spec.HostPath.Path) == "/" && spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		errs = append(errs, field.Forbidden(at.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'"))
	}
	errs = append(errs, oneOfIfSet(spec.VolumeMode, at.Child("volumeMode"), corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)...)
	if name := spec.VolumeAttributesClassName; name != nil {
		if *name == "" {
			errs = append(errs, field.Required(at.Child("volumeAttributesClassName"), "an empty string is disallowed"))
		} else {
			errs = append(errs, DNSSubdomain(*name, at.Child("volumeAttributesClassName"))...)
		}
		if spec.CSI == nil {
			errs = append(errs, field.Required(at.Child("csi"), "has to be specified when using volumeAttributesClassName"))
		}
	}
	return errs
}

func capacity(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(list) == 0 {
		errs = append(errs, field.Required(path, ""))
	}
	if _, ok := list[corev1.ResourceStorage]; !ok || len(list) > 1 {
		errs = append(errs, field.NotSupported(path, list, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for name, amount := range list {
		errs = append(errs, nonNegativeQuantity(amount, path.Key(string(name)))...)
		errs = append(errs, positiveQuantity(amount, path.Key(string(name)))...)
	}
	return errs
}

// inlineVolume: a volume that is not an object has no life of its own.
func inlineVolume(spec *corev1.PersistentVolumeSpec, path *field.Path) field.ErrorList {
	const here = "may not be specified in the context of inline volumes"
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"claimRef", spec.ClaimRef != nil},
		{"capacity", len(spec.Capacity) > 0},
		{"persistentVolumeReclaimPolicy", spec.PersistentVolumeReclaimPolicy != "" && spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain},
		{"storageClassName", spec.StorageClassName != ""},
	} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), here))
		}
	}
	if spec.CSI == nil {
		errs = append(errs, field.Required(path.Child("csi"), "has to be specified in the context of inline volumes"))
	}
	return errs
}

func volumeAffinity(spec *corev1.PersistentVolumeSpec, path *field.Path) field.ErrorList {
	at := path.Child("nodeAffinity")
	switch {
	case spec.NodeAffinity == nil:
		if spec.Local != nil {
			return field.ErrorList{field.Required(at, "Local volume requires node affinity")}
		}
		return nil
	case spec.NodeAffinity.Required == nil:
		return field.ErrorList{field.Required(at.Child("required"), "must specify required node constraints")}
	}
	return NodeSelector(spec.NodeAffinity.Required, at.Child("required"))
}

var persistentSources = sync.OnceValue(func() []source[corev1.PersistentVolumeSource] {
	type ps = corev1.PersistentVolumeSource
	return []source[ps]{
		of("hostPath", func(v *ps) *corev1.HostPathVolumeSource { return v.HostPath }, checkHostPath),
		of("gcePersistentDisk", func(v *ps) *corev1.GCEPersistentDiskVolumeSource { return v.GCEPersistentDisk }, checkGCE),
		of("awsElasticBlockStore", func(v *ps) *corev1.AWSElasticBlockStoreVolumeSource { return v.AWSElasticBlockStore }, checkAWS),
		of("glusterfs", func(v *ps) *corev1.GlusterfsPersistentVolumeSource { return v.Glusterfs }, checkGlusterfsOfPV),
		of("flocker", func(v *ps) *corev1.FlockerVolumeSource { return v.Flocker }, checkFlocker),
		of("nfs", func(v *ps) *corev1.NFSVolumeSource { return v.NFS }, checkNFS),
		of("rbd", func(v *ps) *corev1.RBDPersistentVolumeSource { return v.RBD }, checkRBDOfPV),
		of("quobyte", func(v *ps) *corev1.QuobyteVolumeSource { return v.Quobyte }, checkQuobyte),
		of("cephfs", func(v *ps) *corev1.CephFSPersistentVolumeSource { return v.CephFS }, checkCephFSOfPV),
		of("iscsi", func(v *ps) *corev1.ISCSIPersistentVolumeSource { return v.ISCSI }, checkISCSIOfPV),
		of("cinder", func(v *ps) *corev1.CinderPersistentVolumeSource { return v.Cinder }, checkCinderOfPV),
		of("fc", func(v *ps) *corev1.FCVolumeSource { return v.FC }, checkFC),
		of("flexVolume", func(v *ps) *corev1.FlexPersistentVolumeSource { return v.FlexVolume }, checkFlexOfPV),
		of("azureFile", func(v *ps) *corev1.AzureFilePersistentVolumeSource { return v.AzureFile }, checkAzureFileOfPV),
		of("vsphereVolume", func(v *ps) *corev1.VsphereVirtualDiskVolumeSource { return v.VsphereVolume }, checkVsphere),
		of("photonPersistentDisk", func(v *ps) *corev1.PhotonPersistentDiskVolumeSource { return v.PhotonPersistentDisk }, checkPhoton),
		of("portworxVolume", func(v *ps) *corev1.PortworxVolumeSource { return v.PortworxVolume }, checkPortworx),
		of("azureDisk", func(v *ps) *corev1.AzureDiskVolumeSource { return v.AzureDisk }, checkAzureDisk),
		of("scaleIO", func(v *ps) *corev1.ScaleIOPersistentVolumeSource { return v.ScaleIO }, checkScaleIOOfPV),
		of("local", func(v *ps) *corev1.LocalVolumeSource { return v.Local }, checkLocal),
		of("storageos", func(v *ps) *corev1.StorageOSPersistentVolumeSource { return v.StorageOS }, checkStorageOSOfPV),
		of("csi", func(v *ps) *corev1.CSIPersistentVolumeSource { return v.CSI }, checkCSIOfPV),
	}
})

func checkLocal(v *corev1.LocalVolumeSource, path *field.Path) field.ErrorList {
	if v.Path == "" {
		return field.ErrorList{field.Required(path.Child("path"), "")}
	}
	return noBacksteps(v.Path, path.Child("path"))
}

func checkCSIOfPV(v *corev1.CSIPersistentVolumeSource, path *field.Path) field.ErrorList {
	errs := CSIDriverName(v.Driver, path.Child("driver"))
	errs = append(errs, given(v.VolumeHandle, path.Child("volumeHandle"))...)
	for _, secret := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", v.ControllerPublishSecretRef}, {"controllerExpandSecretRef", v.ControllerExpandSecretRef},
		{"nodePublishSecretRef", v.NodePublishSecretRef}, {"nodeExpandSecretRef", v.NodeExpandSecretRef}, // nodeStageSecretRef is not checked upstream
	} {
		if secret.ref == nil {
			continue
		}
		at := path.Child(secret.name)
		if secret.ref.Name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		} else {
			errs = append(errs, DNSSubdomain(secret.ref.Name, at.Child("name"))...)
		}
		if secret.ref.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), ""))
		} else {
			errs = append(errs, DNSLabel(secret.ref.Namespace, at.Child("namespace"))...)
		}
	}
	return errs
}

func validatePersistentVolumeUpdate(r *resource.Request, volume, old *corev1.PersistentVolume) field.ErrorList {
	errs := validatePersistentVolume(r, volume)
	now, before := volume.Spec.PersistentVolumeSource, old.Spec.PersistentVolumeSource.DeepCopy()
	// Volumes made before there was expansion may learn where its secret is.
	if before.CSI != nil && now.CSI != nil && before.CSI.ControllerExpandSecretRef == nil {
		before.CSI.ControllerExpandSecretRef = now.CSI.ControllerExpandSecretRef
	}
	if !apiequality.Semantic.DeepEqual(now, *before) {
		errs = append(errs, field.Forbidden(specPath.Child("persistentvolumesource"),
			"spec.persistentvolumesource is immutable after creation\n"+diff.Diff(*before, now)))
	}
	errs = append(errs, Immutable(volume.Spec.VolumeMode, old.Spec.VolumeMode, field.NewPath("volumeMode"))...)
	if old.Spec.NodeAffinity != nil {
		errs = append(errs, affinityUpdate(volume.Spec.NodeAffinity, old.Spec.NodeAffinity, field.NewPath("nodeAffinity"))...)
	}
	if at := specPath.Child("volumeAttributesClassName"); old.Spec.VolumeAttributesClassName != nil && volume.Spec.VolumeAttributesClassName == nil {
		errs = append(errs, field.Forbidden(at, "update from non-nil value to nil is forbidden"))
	}
	return errs
}

// affinityUpdate lets only deprecated labels of nodes be replaced by their newer names.
func affinityUpdate(now, old *corev1.VolumeNodeAffinity, path *field.Path) field.ErrorList {
	renamed := old.DeepCopy()
	if now != nil && now.Required != nil && renamed.Required != nil && len(now.Required.NodeSelectorTerms) == len(renamed.Required.NodeSelectorTerms) {
		for i := range renamed.Required.NodeSelectorTerms {
			after := now.Required.NodeSelectorTerms[i].MatchExpressions
			for j := range renamed.Required.NodeSelectorTerms[i].MatchExpressions {
				r := &renamed.Required.NodeSelectorTerms[i].MatchExpressions[j]
				if newer, ok := newerLabel[r.Key]; ok && j < len(after) && after[j].Key == newer {
					r.Key = newer
				}
			}
		}
	}
	if apiequality.Semantic.DeepEqual(now, renamed) {
		return nil
	}
	return Immutable(now, old, path)
}

// newerLabel is what the labels of zones and regions became.
var newerLabel = map[string]string{
	corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
	corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
}

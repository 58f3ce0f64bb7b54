package core

import (
	"net"
	"path"
	"regexp"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Volumes that come over a network or from a cloud. Those of PersistentVolumes differ from those of pods only in
// where their secrets are, so the checks take the fields that both have.

func checkGCE(v *corev1.GCEPersistentDiskVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.PDName, at.Child("pdName")), partition(v.Partition, at)...)
}

func checkAWS(v *corev1.AWSElasticBlockStoreVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.VolumeID, at.Child("volumeID")), partition(v.Partition, at)...)
}

func partition(p int32, at *field.Path) field.ErrorList {
	if p < 0 || p > 255 {
		return field.ErrorList{field.Invalid(at.Child("partition"), p, validation.InclusiveRangeError(1, 255))}
	}
	return nil
}

func checkNFS(v *corev1.NFSVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.Server, at.Child("server")), given(v.Path, at.Child("path"))...)
	if !path.IsAbs(v.Path) {
		errs = append(errs, field.Invalid(at.Child("path"), v.Path, "must be an absolute path"))
	}
	return errs
}

// iscsiNames are the three ways to name an initiator or target (RFC 3720).
var iscsiNames = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
		"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
		"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
	}
})

func iscsiName(name string, at *field.Path, mustBeKnown bool) field.ErrorList {
	for prefix, form := range iscsiNames() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if !form.MatchString(name) {
			return field.ErrorList{field.Invalid(at, name, "must be valid format")}
		}
		return nil
	}
	if mustBeKnown {
		return field.ErrorList{field.Invalid(at, name, "must be valid format starting with iqn, eui, or naa")}
	}
	return nil
}

// iscsi is what both forms of ISCSI volumes have.
type iscsi struct {
	portal, iqn string
	lun         int32
	initiator   *string
}

func (v iscsi) check(at *field.Path) field.ErrorList {
	errs := given(v.portal, at.Child("targetPortal"))
	if v.iqn == "" {
		errs = append(errs, field.Required(at.Child("iqn"), ""))
	} else {
		errs = append(errs, iscsiName(v.iqn, at.Child("iqn"), true)...)
	}
	errs = append(errs, inRange(int(v.lun), 0, 255, at.Child("lun"))...)
	if v.initiator != nil {
		errs = append(errs, iscsiName(*v.initiator, at.Child("initiatorname"), true)...)
	}
	return errs
}

func checkISCSI(v *corev1.ISCSIVolumeSource, at *field.Path) field.ErrorList {
	errs := iscsi{portal: v.TargetPortal, iqn: v.IQN, lun: v.Lun, initiator: v.InitiatorName}.check(at)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(at.Child("secretRef"), ""))
	}
	return errs
}

func checkISCSIOfPV(v *corev1.ISCSIPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := iscsi{portal: v.TargetPortal, iqn: v.IQN, lun: v.Lun, initiator: v.InitiatorName}.check(at)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		errs = append(errs, field.Required(at.Child("secretRef"), ""))
	}
	if v.SecretRef != nil && v.SecretRef.Name == "" {
		errs = append(errs, field.Required(at.Child("secretRef", "name"), ""))
	}
	return errs
}

func checkGlusterfs(v *corev1.GlusterfsVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.EndpointsName, at.Child("endpoints")), given(v.Path, at.Child("path"))...)
}

func checkGlusterfsOfPV(v *corev1.GlusterfsPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.EndpointsName, at.Child("endpoints")), given(v.Path, at.Child("path"))...)
	if v.EndpointsNamespace == nil {
		return errs
	}
	if *v.EndpointsNamespace == "" {
		return append(errs, field.Invalid(at.Child("endpointsNamespace"), *v.EndpointsNamespace,
			"if the endpointnamespace is set, it must be a valid namespace name"))
	}
	return append(errs, DNSLabel(*v.EndpointsNamespace, at.Child("endpointsNamespace"))...)
}

func checkFlocker(v *corev1.FlockerVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if v.DatasetName == "" && v.DatasetUUID == "" {
		errs = append(errs, field.Required(at, "one of datasetName and datasetUUID is required"))
	}
	if v.DatasetName != "" && v.DatasetUUID != "" {
		errs = append(errs, field.Invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
	}
	if strings.Contains(v.DatasetName, "/") {
		errs = append(errs, field.Invalid(at.Child("datasetName"), v.DatasetName, "must not contain '/'"))
	}
	return errs
}

func monitors(list []string, at *field.Path) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(at.Child("monitors"), "")}
	}
	return nil
}

func checkRBD(v *corev1.RBDVolumeSource, at *field.Path) field.ErrorList {
	return append(monitors(v.CephMonitors, at), given(v.RBDImage, at.Child("image"))...)
}

func checkRBDOfPV(v *corev1.RBDPersistentVolumeSource, at *field.Path) field.ErrorList {
	return append(monitors(v.CephMonitors, at), given(v.RBDImage, at.Child("image"))...)
}

func checkCinder(v *corev1.CinderVolumeSource, at *field.Path) field.ErrorList {
	errs := given(v.VolumeID, at.Child("volumeID"))
	if v.SecretRef != nil {
		errs = append(errs, given(v.SecretRef.Name, at.Child("secretRef", "name"))...)
	}
	return errs
}

func checkCinderOfPV(v *corev1.CinderPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := given(v.VolumeID, at.Child("volumeID"))
	if v.SecretRef != nil {
		errs = append(errs, given(v.SecretRef.Name, at.Child("secretRef", "name"))...)
		errs = append(errs, given(v.SecretRef.Namespace, at.Child("secretRef", "namespace"))...)
	}
	return errs
}

func checkCephFS(v *corev1.CephFSVolumeSource, at *field.Path) field.ErrorList {
	return monitors(v.Monitors, at)
}

func checkCephFSOfPV(v *corev1.CephFSPersistentVolumeSource, at *field.Path) field.ErrorList {
	return monitors(v.Monitors, at)
}

func checkQuobyte(v *corev1.QuobyteVolumeSource, at *field.Path) field.ErrorList {
	errs := given(v.Registry, at.Child("registry"))
	if len(v.Tenant) >= 65 {
		errs = append(errs, field.Required(at.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
	}
	if v.Registry != "" {
		for _, pair := range strings.Split(v.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				errs = append(errs, field.Invalid(at.Child("registry"), v.Registry, "must be a host:port pair or multiple pairs separated by commas"))
			}
		}
	}
	return append(errs, given(v.Volume, at.Child("volume"))...)
}

func checkFC(v *corev1.FCVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	wwns := at.Child("targetWWNs")
	if len(v.TargetWWNs) == 0 && len(v.WWIDs) == 0 {
		errs = append(errs, field.Required(wwns, "must specify either targetWWNs or wwids, but not both"))
	}
	if len(v.TargetWWNs) > 0 && len(v.WWIDs) > 0 {
		errs = append(errs, field.Invalid(wwns, v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
	}
	if len(v.TargetWWNs) == 0 {
		return errs
	}
	if v.Lun == nil {
		return append(errs, field.Required(at.Child("lun"), "lun is required if targetWWNs is specified"))
	}
	return append(errs, inRange(int(*v.Lun), 0, 255, at.Child("lun"))...)
}

func checkFlex(v *corev1.FlexVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.Driver, at.Child("driver")), flexOptions(v.Options, at)...)
}

func checkFlexOfPV(v *corev1.FlexPersistentVolumeSource, at *field.Path) field.ErrorList {
	return append(given(v.Driver, at.Child("driver")), flexOptions(v.Options, at)...)
}

// flexOptions keeps users out of the namespaces in which drivers are told about pods.
func flexOptions(options map[string]string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for key := range options {
		namespace, _, _ := strings.Cut(key, "/")
		normal := "." + strings.ToLower(namespace)
		if strings.HasSuffix(normal, ".kubernetes.io") || strings.HasSuffix(normal, ".k8s.io") {
			errs = append(errs, field.Invalid(at.Child("options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved"))
		}
	}
	return errs
}

func checkVsphere(v *corev1.VsphereVirtualDiskVolumeSource, at *field.Path) field.ErrorList {
	return given(v.VolumePath, at.Child("volumePath"))
}

func checkPhoton(v *corev1.PhotonPersistentDiskVolumeSource, at *field.Path) field.ErrorList {
	return given(v.PdID, at.Child("pdID"))
}

func checkPortworx(v *corev1.PortworxVolumeSource, at *field.Path) field.ErrorList {
	return given(v.VolumeID, at.Child("volumeID"))
}

func checkStorageOS(v *corev1.StorageOSVolumeSource, at *field.Path) field.ErrorList {
	errs := label(v.VolumeName, at.Child("volumeName"))
	if v.VolumeNamespace != "" {
		errs = append(errs, DNSLabel(v.VolumeNamespace, at.Child("volumeNamespace"))...)
	}
	if v.SecretRef != nil {
		errs = append(errs, given(v.SecretRef.Name, at.Child("secretRef", "name"))...)
	}
	return errs
}

func checkStorageOSOfPV(v *corev1.StorageOSPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := label(v.VolumeName, at.Child("volumeName"))
	if v.VolumeNamespace != "" {
		errs = append(errs, DNSLabel(v.VolumeNamespace, at.Child("volumeNamespace"))...)
	}
	if v.SecretRef != nil {
		errs = append(errs, given(v.SecretRef.Name, at.Child("secretRef", "name"))...)
		errs = append(errs, given(v.SecretRef.Namespace, at.Child("secretRef", "namespace"))...)
	}
	return errs
}

func checkScaleIO(v *corev1.ScaleIOVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.Gateway, at.Child("gateway")), given(v.System, at.Child("system"))...)
	return append(errs, given(v.VolumeName, at.Child("volumeName"))...)
}

func checkScaleIOOfPV(v *corev1.ScaleIOPersistentVolumeSource, at *field.Path) field.ErrorList {
	errs := append(given(v.Gateway, at.Child("gateway")), given(v.System, at.Child("system"))...)
	return append(errs, given(v.VolumeName, at.Child("volumeName"))...)
}

package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Volumes that come from the node, from other objects or from an image.

func checkEmptyDir(v *corev1.EmptyDirVolumeSource, path *field.Path) field.ErrorList {
	if v.SizeLimit != nil && v.SizeLimit.Sign() < 0 {
		return field.ErrorList{field.Forbidden(path.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")}
	}
	return nil
}

func checkHostPath(v *corev1.HostPathVolumeSource, path *field.Path) field.ErrorList {
	errs := given(v.Path, path.Child("path"))
	if len(errs) > 0 {
		return errs
	}
	errs = noBacksteps(v.Path, path.Child("path"))
	return append(errs, oneOfIfSet(v.Type, path.Child("type"),
		corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
		corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)...)
}

func checkGitRepo(v *corev1.GitRepoVolumeSource, path *field.Path) field.ErrorList {
	return append(given(v.Repository, path.Child("repository")), descendingPath(v.Directory, path.Child("directory"))...)
}

func checkSecretVolume(v *corev1.SecretVolumeSource, path *field.Path) field.ErrorList {
	errs := given(v.SecretName, path.Child("secretName"))
	errs = append(errs, fileMode(v.DefaultMode, path.Child("defaultMode"))...)
	return append(errs, checkKeys(v.Items, path.Child("items"))...)
}

func checkConfigMapVolume(v *corev1.ConfigMapVolumeSource, path *field.Path) field.ErrorList {
	errs := given(v.Name, path.Child("name"))
	errs = append(errs, fileMode(v.DefaultMode, path.Child("defaultMode"))...)
	return append(errs, checkKeys(v.Items, path.Child("items"))...)
}

func checkKeys(items []corev1.KeyToPath, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		errs = append(errs, checkKey(&items[i], path.Index(i))...)
	}
	return errs
}

func checkKey(item *corev1.KeyToPath, path *field.Path) field.ErrorList {
	errs := given(item.Key, path.Child("key"))
	errs = append(errs, given(item.Path, path.Child("path"))...)
	errs = append(errs, unreservedPath(item.Path, path.Child("path"))...)
	return append(errs, fileMode(item.Mode, path.Child("mode"))...)
}

func checkClaimVolume(v *corev1.PersistentVolumeClaimVolumeSource, path *field.Path) field.ErrorList {
	return given(v.ClaimName, path.Child("claimName"))
}

func checkDownwardVolume(v *corev1.DownwardAPIVolumeSource, path *field.Path) field.ErrorList {
	errs := fileMode(v.DefaultMode, path.Child("defaultMode"))
	for i := range v.Items {
		errs = append(errs, checkDownwardFile(&v.Items[i], path.Child("items").Index(i))...)
	}
	return errs
}

func checkDownwardFile(file *corev1.DownwardAPIVolumeFile, path *field.Path) field.ErrorList {
	errs := given(file.Path, path.Child("path"))
	errs = append(errs, unreservedPath(file.Path, path.Child("path"))...)
	switch {
	case file.FieldRef != nil:
		errs = append(errs, checkFieldRef(file.FieldRef, volumeFields, path.Child("fieldRef"))...)
		if file.ResourceFieldRef != nil {
			errs = append(errs, field.Invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
		}
	case file.ResourceFieldRef != nil:
		errs = append(errs, checkResourceRef(file.ResourceFieldRef, path.Child("resourceFieldRef"), true)...)
	default:
		errs = append(errs, field.Required(path, "one of fieldRef and resourceFieldRef is required"))
	}
	return append(errs, fileMode(file.Mode, path.Child("mode"))...)
}

func checkCSIVolume(v *corev1.CSIVolumeSource, path *field.Path) field.ErrorList {
	errs := CSIDriverName(v.Driver, path.Child("driver"))
	if ref := v.NodePublishSecretRef; ref != nil {
		at := path.Child("nodePublishSecretRef", "name")
		if ref.Name == "" {
			errs = append(errs, field.Required(at, ""))
		} else {
			errs = append(errs, DNSSubdomain(ref.Name, at)...)
		}
	}
	return errs
}

func checkEphemeral(v *corev1.EphemeralVolumeSource, path *field.Path) field.ErrorList {
	at := path.Child("volumeClaimTemplate")
	if v.VolumeClaimTemplate == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := TemplateMeta(&v.VolumeClaimTemplate.ObjectMeta, at.Child("metadata"))
	return append(errs, ValidateClaimSpec(&v.VolumeClaimTemplate.Spec, at.Child("spec"))...)
}

// checkImageVolume leaves open whether there is a reference: templates may leave it to whoever fills them in.
func checkImageVolume(v *corev1.ImageVolumeSource, path *field.Path) field.ErrorList {
	return checkPullPolicy(v.PullPolicy, path.Child("pullPolicy"))
}

func checkPullPolicy(policy corev1.PullPolicy, path *field.Path) field.ErrorList {
	return OneOf(policy, path, corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)
}

func checkProjected(v *corev1.ProjectedVolumeSource, path *field.Path) field.ErrorList {
	p := projection{at: path, paths: map[string]bool{}}
	var errs field.ErrorList
	for i := range v.Sources {
		errs = append(errs, p.source(&v.Sources[i], path.Child("sources").Index(i))...)
	}
	return append(errs, fileMode(v.DefaultMode, path.Child("defaultMode"))...)
}

// maxTokenSeconds is the longest life that a token may be asked for.
const maxTokenSeconds = 1 << 32

const minTokenSeconds = 10 * 60

// projection collects the paths of all sources of one volume: no two may write the same file.
type projection struct {
	at    *field.Path
	paths map[string]bool
}

func (p *projection) claim(path string, value string) field.ErrorList {
	if path == "" {
		return nil
	}
	if p.paths[path] {
		return field.ErrorList{field.Invalid(p.at, value, "conflicting duplicate paths")}
	}
	p.paths[path] = true
	return nil
}

func (p *projection) keys(name string, items []corev1.KeyToPath, path *field.Path) field.ErrorList {
	errs := given(name, path.Child("name"))
	for i := range items {
		errs = append(errs, checkKey(&items[i], path.Child("items").Index(i))...)
		errs = append(errs, p.claim(items[i].Path, name)...)
	}
	return errs
}

func (p *projection) source(s *corev1.VolumeProjection, path *field.Path) field.ErrorList {
	type vp = corev1.VolumeProjection
	sources := []source[vp]{
		of("secret", func(s *vp) *corev1.SecretProjection { return s.Secret }, func(s *corev1.SecretProjection, at *field.Path) field.ErrorList {
			return p.keys(s.Name, s.Items, at)
		}),
		of("configMap", func(s *vp) *corev1.ConfigMapProjection { return s.ConfigMap }, func(s *corev1.ConfigMapProjection, at *field.Path) field.ErrorList {
			return p.keys(s.Name, s.Items, at)
		}),
		of("downwardAPI", func(s *vp) *corev1.DownwardAPIProjection { return s.DownwardAPI }, p.downward),
		of("serviceAccountToken", func(s *vp) *corev1.ServiceAccountTokenProjection { return s.ServiceAccountToken }, p.token),
		of("clusterTrustBundle", func(s *vp) *corev1.ClusterTrustBundleProjection { return s.ClusterTrustBundle }, p.bundle),
		of("podCertificate", func(s *vp) *corev1.PodCertificateProjection { return s.PodCertificate }, p.certificate),
	}
	var errs field.ErrorList
	set := 0
	for _, one := range sources {
		if one.set(s) {
			set++
			errs = append(errs, one.check(s, path.Child(one.name))...)
		}
	}
	if set > 1 {
		errs = append(errs, field.Forbidden(path, manyTypes+" per source"))
	}
	return errs
}

func (p *projection) downward(s *corev1.DownwardAPIProjection, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range s.Items {
		errs = append(errs, checkDownwardFile(&s.Items[i], path)...)
		errs = append(errs, p.claim(s.Items[i].Path, s.Items[i].Path)...)
	}
	return errs
}

func (p *projection) token(s *corev1.ServiceAccountTokenProjection, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if seconds := s.ExpirationSeconds; seconds != nil {
		at := path.Child("expirationSeconds")
		if *seconds < minTokenSeconds {
			errs = append(errs, field.Invalid(at, *seconds, "may not specify a duration less than 10 minutes"))
		}
		if *seconds > maxTokenSeconds {
			errs = append(errs, field.Invalid(at, *seconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	if s.Path == "" {
		return append(errs, field.Required(path.Child("path"), ""))
	}
	errs = append(errs, unreservedPath(s.Path, path.Child("path"))...)
	return append(errs, p.claim(s.Path, s.Path)...)
}

func (p *projection) bundle(s *corev1.ClusterTrustBundleProjection, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case s.Name != nil && s.SignerName != nil:
		errs = append(errs, field.Invalid(path, s, "only one of name and signerName may be used"))
	case s.Name != nil:
		if *s.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), "must be a valid object name"))
		}
		if s.LabelSelector != nil {
			errs = append(errs, field.Invalid(path.Child("labelSelector"), s.LabelSelector, "labelSelector must be unset if name is specified"))
		}
	case s.SignerName != nil:
		if *s.SignerName == "" {
			errs = append(errs, field.Required(path.Child("signerName"), "must be a valid signer name"))
		}
		errs = append(errs, metav1validation.ValidateLabelSelector(s.LabelSelector,
			metav1validation.LabelSelectorValidationOptions{}, path.Child("labelSelector"))...)
	default:
		errs = append(errs, field.Required(path, "either name or signerName must be specified"))
	}
	if s.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), ""))
	}
	errs = append(errs, unreservedPath(s.Path, path.Child("path"))...)
	return append(errs, p.claim(s.Path, s.Path)...)
}

func (p *projection) certificate(s *corev1.PodCertificateProjection, path *field.Path) field.ErrorList {
	errs := given(s.SignerName, path.Child("signerName"))
	errs = append(errs, OneOf(s.KeyType, path.Child("keyType"), "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")...)
	const least, most = 60 * 60, 91 * 24 * 60 * 60
	if seconds := s.MaxExpirationSeconds; seconds != nil && (*seconds < least || *seconds > most) {
		errs = append(errs, field.Invalid(path.Child("maxExpirationSeconds"), *seconds, fmt.Sprintf("if provided, maxExpirationSeconds must be between %d and %d", least, most)))
	}
	files := 0
	for _, f := range []struct{ name, path string }{
		{"credentialBundlePath", s.CredentialBundlePath}, {"keyPath", s.KeyPath}, {"certificateChainPath", s.CertificateChainPath},
	} {
		if f.path == "" {
			continue
		}
		files++
		errs = append(errs, unreservedPath(f.path, path.Child(f.name))...)
		errs = append(errs, p.claim(f.path, f.path)...)
	}
	if files == 0 {
		errs = append(errs, field.Required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"))
	}
	return errs
}

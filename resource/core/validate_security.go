package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (c *podCheck) securityContext(s *corev1.SecurityContext, path *field.Path) field.ErrorList {
	if s == nil {
		return nil
	}
	var errs field.ErrorList
	if s.RunAsUser != nil {
		errs = append(errs, invalidEach(path.Child("runAsUser"), *s.RunAsUser, validation.IsValidUserID(*s.RunAsUser))...)
	}
	if s.RunAsGroup != nil {
		errs = append(errs, invalidEach(path.Child("runAsGroup"), *s.RunAsGroup, validation.IsValidGroupID(*s.RunAsGroup))...)
	}
	errs = append(errs, oneOfIfSet(s.ProcMount, path.Child("procMount"), corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
	if s.ProcMount != nil && *s.ProcMount == corev1.UnmaskedProcMount && c.hostUsers() {
		errs = append(errs, field.Invalid(path.Child("procMount"), *s.ProcMount, "`hostUsers` must be false to use `Unmasked`"))
	}
	errs = append(errs, seccomp(s.SeccompProfile, path.Child("seccompProfile"))...)
	if s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation {
		if s.Privileged != nil && *s.Privileged {
			errs = append(errs, field.Invalid(path, s, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
		}
		if s.Capabilities != nil && slices.Contains(s.Capabilities.Add, "CAP_SYS_ADMIN") {
			errs = append(errs, field.Invalid(path, s, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
		}
	}
	errs = append(errs, windowsOptions(s.WindowsOptions, path.Child("windowsOptions"))...)
	return append(errs, appArmor(s.AppArmorProfile, path.Child("appArmorProfile"))...)
}

// podSecurity checks spec.securityContext and what of the pod's own fields belongs with it.
func (c *podCheck) podSecurity(s *corev1.PodSecurityContext, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.spec.ShareProcessNamespace != nil && *c.spec.ShareProcessNamespace && c.spec.HostPID {
		errs = append(errs, field.Invalid(path.Child("shareProcessNamespace"), *c.spec.ShareProcessNamespace,
			"ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	if s == nil {
		return errs
	}
	if s.FSGroup != nil {
		errs = append(errs, invalidEach(path.Child("fsGroup"), *s.FSGroup, validation.IsValidGroupID(*s.FSGroup))...)
	}
	if s.RunAsUser != nil {
		errs = append(errs, invalidEach(path.Child("runAsUser"), *s.RunAsUser, validation.IsValidUserID(*s.RunAsUser))...)
	}
	if s.RunAsGroup != nil {
		errs = append(errs, invalidEach(path.Child("runAsGroup"), *s.RunAsGroup, validation.IsValidGroupID(*s.RunAsGroup))...)
	}
	for i, gid := range s.SupplementalGroups {
		errs = append(errs, invalidEach(path.Child("supplementalGroups").Index(i), gid, validation.IsValidGroupID(gid))...)
	}
	errs = append(errs, c.sysctls(s.Sysctls, path.Child("sysctls"))...)
	errs = append(errs, oneOfIfSet(s.FSGroupChangePolicy, path.Child("fsGroupChangePolicy"),
		corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	errs = append(errs, seccomp(s.SeccompProfile, path.Child("seccompProfile"))...)
	errs = append(errs, windowsOptions(s.WindowsOptions, path.Child("windowsOptions"))...)
	errs = append(errs, appArmor(s.AppArmorProfile, path.Child("appArmorProfile"))...)
	errs = append(errs, oneOfIfSet(s.SupplementalGroupsPolicy, path.Child("supplementalGroupsPolicy"),
		corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	return append(errs, oneOfIfSet(s.SELinuxChangePolicy, path.Child("seLinuxChangePolicy"),
		corev1.SELinuxChangePolicyRecursive)...)
}

func seccomp(p *corev1.SeccompProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	if p.Type == "" {
		errs = append(errs, field.Required(path.Child("type"), "type is required when seccompProfile is set"))
	} else {
		errs = append(errs, OneOf(p.Type, path.Child("type"),
			corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)...)
	}
	switch {
	case p.Type != corev1.SeccompProfileTypeLocalhost:
		if p.LocalhostProfile != nil {
			errs = append(errs, field.Invalid(path.Child("localhostProfile"), p, "can only be set when seccomp type is Localhost"))
		}
	case p.LocalhostProfile == nil:
		errs = append(errs, field.Required(path.Child("localhostProfile"), "must be set when seccomp type is Localhost"))
	default:
		errs = append(errs, descendingPath(*p.LocalhostProfile, path.Child("localhostProfile"))...)
	}
	return errs
}

// maxAppArmorName is how long the name of a loaded profile may be, that of a path on Linux.
const maxAppArmorName = 4095

func appArmor(p *corev1.AppArmorProfile, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	at := path.Child("localhostProfile")
	const missing = "must be set when AppArmor type is Localhost"
	switch p.Type {
	case "":
		return field.ErrorList{field.Required(path.Child("type"), "type is required when appArmorProfile is set")}
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if p.LocalhostProfile != nil {
			return field.ErrorList{field.Invalid(at, *p.LocalhostProfile, "can only be set when AppArmor type is Localhost")}
		}
		return nil
	case corev1.AppArmorProfileTypeLocalhost:
	default:
		return field.ErrorList{field.NotSupported(path.Child("type"), p.Type, []corev1.AppArmorProfileType{
			corev1.AppArmorProfileTypeLocalhost, corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined,
		})}
	}
	switch {
	case p.LocalhostProfile == nil:
		return field.ErrorList{field.Required(at, missing)}
	case strings.TrimSpace(*p.LocalhostProfile) != *p.LocalhostProfile:
		return field.ErrorList{field.Invalid(at, *p.LocalhostProfile, "must not be padded with whitespace")}
	case *p.LocalhostProfile == "":
		return field.ErrorList{field.Required(at, missing)}
	case len(*p.LocalhostProfile) > maxAppArmorName:
		return field.ErrorList{field.TooLong(at, *p.LocalhostProfile, maxAppArmorName)}
	}
	return nil
}

const (
	sysctlSegment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
	sysctlForm    = "(" + sysctlSegment + `[\./])*` + sysctlSegment
	maxSysctl     = 253
)

var sysctlName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^" + sysctlForm + "$") })

func (c *podCheck) sysctls(sysctls []corev1.Sysctl, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, s := range sysctls {
		at := path.Index(i).Child("name")
		if s.Name == "" {
			errs = append(errs, field.Required(at, ""))
			continue
		}
		if len(s.Name) > maxSysctl || !sysctlName().MatchString(s.Name) {
			errs = append(errs, field.Invalid(at, s.Name, fmt.Sprintf("must have at most %d characters and match regex %s", maxSysctl, sysctlForm)))
			continue
		}
		if names.Has(s.Name) {
			errs = append(errs, field.Duplicate(at, s.Name))
			continue
		}
		names.Insert(s.Name)
		dotted := strings.ReplaceAll(s.Name, "/", ".")
		switch {
		case c.spec.HostNetwork && strings.HasPrefix(dotted, "net."):
			errs = append(errs, field.Invalid(at, s.Name, "may not be specified when 'hostNetwork' is true"))
		case c.spec.HostIPC && ipcSysctl(dotted):
			errs = append(errs, field.Invalid(at, s.Name, "may not be specified when 'hostIPC' is true"))
		}
	}
	return errs
}

// ipcSysctl says whether a sysctl belongs to the IPC namespace.
func ipcSysctl(name string) bool {
	return name == "kernel.sem" || strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || strings.HasPrefix(name, "fs.mqueue.")
}

// userNamespace: a pod with users of its own shares no other namespace with the host (KEP-127).
func (c *podCheck) userNamespace(path *field.Path) field.ErrorList {
	if c.hostUsers() {
		return nil
	}
	var errs field.ErrorList
	for _, f := range []struct {
		name string
		set  bool
	}{{"hostNetwork", c.spec.HostNetwork}, {"HostPID", c.spec.HostPID}, {"HostIPC", c.spec.HostIPC}} {
		if f.set {
			errs = append(errs, field.Forbidden(path.Child(f.name), "when `hostUsers` is false"))
		}
	}
	return errs
}

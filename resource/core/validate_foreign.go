package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxGMSA is how big a credential spec may be: it is passed along in annotations.
const maxGMSA = 64 << 10

func windowsOptions(o *corev1.WindowsSecurityContextOptions, path *field.Path) field.ErrorList {
	if o == nil {
		return nil
	}
	var errs field.ErrorList
	if o.GMSACredentialSpecName != nil {
		errs = append(errs, DNSSubdomain(*o.GMSACredentialSpecName, path.Child("gmsaCredentialSpecName"))...)
	}
	if spec := o.GMSACredentialSpec; spec != nil {
		switch at := path.Child("gmsaCredentialSpec"); {
		case *spec == "":
			errs = append(errs, field.Invalid(at, *spec, "gmsaCredentialSpec cannot be an empty string"))
		case len(*spec) > maxGMSA:
			errs = append(errs, field.Invalid(at, *spec, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxGMSA>>10)))
		}
	}
	if o.RunAsUserName != nil {
		errs = append(errs, windowsUser(*o.RunAsUserName, path.Child("runAsUserName"))...)
	}
	return errs
}

// Windows' own bounds for DOMAIN\USER.
const (
	maxWindowsDomain = 256
	maxWindowsUser   = 104
)

func windowsUser(name string, path *field.Path) field.ErrorList {
	wrong := func(detail string) field.ErrorList { return field.ErrorList{field.Invalid(path, name, detail)} }
	if name == "" {
		return wrong("runAsUserName cannot be an empty string")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return wrong("runAsUserName cannot contain control characters")
	}
	if strings.Count(name, `\`) > 1 {
		return wrong(`runAsUserName cannot contain more than one backslash`)
	}
	domain, user, qualified := strings.Cut(name, `\`)
	if !qualified {
		user = name
	}
	var errs field.ErrorList
	if qualified && (domain == "" || len(domain) >= maxWindowsDomain) {
		errs = append(errs, wrong(fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxWindowsDomain))...)
	}
	switch {
	case user == "":
		errs = append(errs, wrong("runAsUserName's User cannot be empty")...)
	case len(user) > maxWindowsUser:
		errs = append(errs, wrong(fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxWindowsUser))...)
	case strings.Trim(user, " .") == "":
		errs = append(errs, wrong(`runAsUserName's User cannot contain only periods or spaces`)...)
	case strings.ContainsAny(user, `"/\[]:;|=,+*?<>@`):
		errs = append(errs, wrong(`runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]`)...)
	}
	return errs
}

// operatingSystem checks that a pod for one system asks for nothing that only the other has (KEP-2802).
func (c *podCheck) operatingSystem(path *field.Path) field.ErrorList {
	os := c.spec.OS
	if os == nil {
		return nil
	}
	switch at := path.Child("os"); os.Name {
	case "":
		return field.ErrorList{field.Required(at.Child("name"), "")}
	case corev1.Linux:
		return c.foreign(path, "windows options cannot be set for a linux pod", linuxForbids)
	case corev1.Windows:
		errs := c.foreign(path, "cannot be set for a windows pod", windowsForbids)
		return append(errs, c.notForWindowsPods(path)...)
	default:
		return field.ErrorList{field.NotSupported(at, os.Name, []corev1.OSName{corev1.Linux, corev1.Windows})}
	}
}

// foreign looks at the security contexts of the pod and of all containers.
func (c *podCheck) foreign(path *field.Path, detail string, fields func(*corev1.SecurityContext) []string) field.ErrorList {
	var errs field.ErrorList
	if s := c.spec.SecurityContext; s != nil && s.WindowsOptions != nil && c.spec.OS.Name == corev1.Linux {
		errs = append(errs, field.Forbidden(path.Child("securityContext", "windowsOptions"), detail))
	}
	eachContainer(c.spec, path, func(container *corev1.Container, at *field.Path) {
		if container.SecurityContext == nil {
			return
		}
		for _, name := range fields(container.SecurityContext) {
			errs = append(errs, field.Forbidden(at.Child("securityContext", name), detail))
		}
	})
	return errs
}

func linuxForbids(s *corev1.SecurityContext) []string {
	return setFields(setField{"windowsOptions", s.WindowsOptions != nil})
}

func windowsForbids(s *corev1.SecurityContext) []string {
	return setFields(
		setField{"appArmorProfile", s.AppArmorProfile != nil}, setField{"seLinuxOptions", s.SELinuxOptions != nil},
		setField{"seccompProfile", s.SeccompProfile != nil}, setField{"capabilities", s.Capabilities != nil},
		setField{"readOnlyRootFilesystem", s.ReadOnlyRootFilesystem != nil}, setField{"privileged", s.Privileged != nil},
		setField{"allowPrivilegeEscalation", s.AllowPrivilegeEscalation != nil}, setField{"procMount", s.ProcMount != nil},
		setField{"runAsUser", s.RunAsUser != nil}, setField{"runAsGroup", s.RunAsGroup != nil},
	)
}

func (c *podCheck) notForWindowsPods(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	forbid := func(at *field.Path, names []string) {
		for _, name := range names {
			errs = append(errs, field.Forbidden(at.Child(name), "cannot be set for a windows pod"))
		}
	}
	if s := c.spec.SecurityContext; s != nil {
		forbid(path.Child("securityContext"), setFields(
			setField{"appArmorProfile", s.AppArmorProfile != nil}, setField{"seLinuxOptions", s.SELinuxOptions != nil},
			setField{"seccompProfile", s.SeccompProfile != nil}, setField{"fsGroup", s.FSGroup != nil},
			setField{"fsGroupChangePolicy", s.FSGroupChangePolicy != nil}, setField{"sysctls", len(s.Sysctls) > 0},
			setField{"runAsUser", s.RunAsUser != nil}, setField{"runAsGroup", s.RunAsGroup != nil},
			setField{"supplementalGroups", s.SupplementalGroups != nil},
			setField{"supplementalGroupsPolicy", s.SupplementalGroupsPolicy != nil},
			setField{"seLinuxChangePolicy", s.SELinuxChangePolicy != nil},
		))
	}
	forbid(path, setFields(setField{"hostPID", c.spec.HostPID}, setField{"hostIPC", c.spec.HostIPC},
		setField{"hostUsers", c.spec.HostUsers != nil}))
	if share := c.spec.ShareProcessNamespace; share != nil {
		forbid(path.Child("securityContext"), []string{"shareProcessNamespace"})
	}
	return errs
}

// hostProcess: a Windows pod is of host processes altogether or not at all.
func (c *podCheck) hostProcess(path *field.Path) field.ErrorList {
	all, some := true, false
	pod := c.spec.SecurityContext
	eachContainer(c.spec, path, func(container *corev1.Container, _ *field.Path) {
		is := pod != nil && pod.WindowsOptions != nil && pod.WindowsOptions.HostProcess != nil && *pod.WindowsOptions.HostProcess
		if s := container.SecurityContext; s != nil && s.WindowsOptions != nil && s.WindowsOptions.HostProcess != nil {
			is = *s.WindowsOptions.HostProcess
		}
		all, some = all && is, some || is
	})
	if !some {
		return nil
	}
	var errs field.ErrorList
	if !all {
		errs = append(errs, field.Invalid(path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !c.spec.HostNetwork {
		errs = append(errs, field.Invalid(path.Child("hostNetwork"), c.spec.HostNetwork, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	return errs
}

// setField is a field and whether it is set.
type setField struct {
	name string
	set  bool
}

func setFields(fields ...setField) []string {
	var names []string
	for _, f := range fields {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// eachContainer visits all containers of a pod in the order of their starting.
func eachContainer(spec *corev1.PodSpec, path *field.Path, visit func(*corev1.Container, *field.Path)) {
	for i := range spec.InitContainers {
		visit(&spec.InitContainers[i], path.Child("initContainers").Index(i))
	}
	for i := range spec.Containers {
		visit(&spec.Containers[i], path.Child("containers").Index(i))
	}
	for i := range spec.EphemeralContainers {
		container := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		visit(&container, path.Child("ephemeralContainers").Index(i))
	}
}

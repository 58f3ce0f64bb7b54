package spec

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Paths in /proc and /sys that a container with the default procMount does not
// see, or may only read. They are those that container runtimes agree on.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// Effective returns the container's security context with what it leaves open
// filled in from the pod's.
func Effective(pod *v1.Pod, c *v1.Container) *v1.SecurityContext {
	sc := &v1.SecurityContext{}
	if c.SecurityContext != nil {
		sc = c.SecurityContext.DeepCopy()
	}
	ps := pod.Spec.SecurityContext
	if ps == nil {
		return sc
	}
	if sc.RunAsUser == nil {
		sc.RunAsUser = ps.RunAsUser
	}
	if sc.RunAsGroup == nil {
		sc.RunAsGroup = ps.RunAsGroup
	}
	if sc.RunAsNonRoot == nil {
		sc.RunAsNonRoot = ps.RunAsNonRoot
	}
	if sc.SELinuxOptions == nil {
		sc.SELinuxOptions = ps.SELinuxOptions
	}
	if sc.SeccompProfile == nil {
		sc.SeccompProfile = ps.SeccompProfile
	}
	if sc.AppArmorProfile == nil {
		sc.AppArmorProfile = ps.AppArmorProfile
	}
	return sc
}

// CheckNonRoot refuses a container that must not run as root but would, or might:
// imageUID and imageUser are what the image says (nil and "" if it does not).
func CheckNonRoot(pod *v1.Pod, c *v1.Container, imageUID *int64, imageUser string) error {
	sc := Effective(pod, c)
	if sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot {
		return nil
	}
	who := fmt.Sprintf("(pod: \"%s_%s(%s)\", container: %s)", pod.Name, pod.Namespace, pod.UID, c.Name)
	switch {
	case sc.RunAsUser != nil && *sc.RunAsUser == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", who)
	case sc.RunAsUser != nil:
		return nil
	case imageUID != nil && *imageUID == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", who)
	case imageUID == nil && imageUser != "":
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", imageUser, who)
	case imageUID == nil:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", who)
	}
	return nil
}

// SecurityContext returns what the runtime enforces on a container. groups are
// the supplemental groups that its volumes add, targetID the container whose
// processes an ephemeral container shares.
func SecurityContext(pod *v1.Pod, c *v1.Container, node *Node, idMaps *IDMaps, groups []int64, targetID, username string) (*runtimeapi.LinuxContainerSecurityContext, error) {
	sc := Effective(pod, c)
	out := &runtimeapi.LinuxContainerSecurityContext{
		Capabilities:       capabilities(sc),
		Privileged:         sc.Privileged != nil && *sc.Privileged,
		ReadonlyRootfs:     sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem,
		NoNewPrivs:         sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		SelinuxOptions:     selinux(sc.SELinuxOptions),
		NamespaceOptions:   Namespaces(pod, idMaps),
		SupplementalGroups: Groups(pod, groups),
		MaskedPaths:        maskedPaths,
		ReadonlyPaths:      readonlyPaths,
	}
	if targetID != "" {
		out.NamespaceOptions.Pid = runtimeapi.NamespaceMode_TARGET
		out.NamespaceOptions.TargetId = targetID
	}
	if sc.ProcMount != nil && *sc.ProcMount == v1.UnmaskedProcMount {
		out.MaskedPaths, out.ReadonlyPaths = nil, nil
	}
	if sc.RunAsUser != nil {
		out.RunAsUser = &runtimeapi.Int64Value{Value: *sc.RunAsUser}
	} else if username != "" {
		out.RunAsUsername = username
	}
	if sc.RunAsGroup != nil {
		if sc.RunAsUser == nil && username == "" {
			// The runtime has no group without a user.
			out.RunAsUser = &runtimeapi.Int64Value{Value: 0}
		}
		out.RunAsGroup = &runtimeapi.Int64Value{Value: *sc.RunAsGroup}
	}
	if ps := pod.Spec.SecurityContext; ps != nil && ps.SupplementalGroupsPolicy != nil {
		policy, ok := runtimeapi.SupplementalGroupsPolicy_value[string(*ps.SupplementalGroupsPolicy)]
		if !ok {
			return nil, fmt.Errorf("unsupported supplementalGroupsPolicy: %s", *ps.SupplementalGroupsPolicy)
		}
		out.SupplementalGroupsPolicy = runtimeapi.SupplementalGroupsPolicy(policy)
	}
	var err error
	if out.Seccomp, err = seccomp(sc.SeccompProfile, out.Privileged, node); err != nil {
		return nil, err
	}
	out.Apparmor = appArmor(pod, c, sc.AppArmorProfile)
	return out, nil
}

// Groups are the supplemental groups of the pod's processes.
func Groups(pod *v1.Pod, more []int64) []int64 {
	var groups []int64
	if sc := pod.Spec.SecurityContext; sc != nil {
		groups = append(groups, sc.SupplementalGroups...)
		if sc.FSGroup != nil {
			groups = append(groups, *sc.FSGroup)
		}
	}
	return append(groups, more...)
}

func capabilities(sc *v1.SecurityContext) *runtimeapi.Capability {
	if sc.Capabilities == nil {
		return nil
	}
	out := &runtimeapi.Capability{}
	for _, c := range sc.Capabilities.Add {
		out.AddCapabilities = append(out.AddCapabilities, string(c))
	}
	for _, c := range sc.Capabilities.Drop {
		out.DropCapabilities = append(out.DropCapabilities, string(c))
	}
	return out
}

func selinux(o *v1.SELinuxOptions) *runtimeapi.SELinuxOption {
	if o == nil {
		return nil
	}
	return &runtimeapi.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

// seccomp: without a profile a container is unconfined, or has the runtime's
// default where the kubelet is configured so.
func seccomp(p *v1.SeccompProfile, privileged bool, node *Node) (*runtimeapi.SecurityProfile, error) {
	unconfined := &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
	standard := &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	switch {
	case p == nil && node.SeccompDefault && !privileged:
		return standard, nil
	case p == nil, p.Type == v1.SeccompProfileTypeUnconfined:
		return unconfined, nil
	case p.Type == v1.SeccompProfileTypeRuntimeDefault:
		return standard, nil
	case p.LocalhostProfile == nil || *p.LocalhostProfile == "":
		return nil, fmt.Errorf("localhostProfile must be set if seccompProfile type is Localhost.")
	}
	return &runtimeapi.SecurityProfile{
		ProfileType:  runtimeapi.SecurityProfile_Localhost,
		LocalhostRef: filepath.Join(node.SeccompProfileRoot, *p.LocalhostProfile),
	}, nil
}

func appArmor(pod *v1.Pod, c *v1.Container, p *v1.AppArmorProfile) *runtimeapi.SecurityProfile {
	if p == nil {
		// The annotation is how pods said it before v1.30.
		value := pod.Annotations[v1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]
		switch {
		case value == v1.DeprecatedAppArmorBetaProfileRuntimeDefault:
			p = &v1.AppArmorProfile{Type: v1.AppArmorProfileTypeRuntimeDefault}
		case value == v1.DeprecatedAppArmorBetaProfileNameUnconfined:
			p = &v1.AppArmorProfile{Type: v1.AppArmorProfileTypeUnconfined}
		case strings.HasPrefix(value, v1.DeprecatedAppArmorBetaProfileNamePrefix):
			name := strings.TrimPrefix(value, v1.DeprecatedAppArmorBetaProfileNamePrefix)
			p = &v1.AppArmorProfile{Type: v1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
		default:
			return nil
		}
	}
	switch p.Type {
	case v1.AppArmorProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	case v1.AppArmorProfileTypeLocalhost:
		if p.LocalhostProfile != nil {
			return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost, LocalhostRef: *p.LocalhostProfile}
		}
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
}

// ImageUser splits what the CRI says of an image's user.
func ImageUser(image *runtimeapi.Image) (uid *int64, username string) {
	if image == nil {
		return nil, ""
	}
	if image.GetUid() != nil {
		id := image.GetUid().GetValue()
		return &id, ""
	}
	if id, err := strconv.ParseInt(image.GetUsername(), 10, 64); err == nil {
		return &id, ""
	}
	return nil, image.GetUsername()
}

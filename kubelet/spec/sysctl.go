package spec

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// safeSysctls may be set by any pod: each is namespaced and cannot harm others
// (the list of the Pod Security Standards).
var safeSysctls = map[string]bool{
	"kernel.shm_rmid_forced":              true,
	"net.ipv4.ip_local_port_range":        true,
	"net.ipv4.tcp_syncookies":             true,
	"net.ipv4.ping_group_range":           true,
	"net.ipv4.ip_unprivileged_port_start": true,
	"net.ipv4.ip_local_reserved_ports":    true,
	"net.ipv4.tcp_keepalive_time":         true,
	"net.ipv4.tcp_fin_timeout":            true,
	"net.ipv4.tcp_keepalive_intvl":        true,
	"net.ipv4.tcp_keepalive_probes":       true,
	"net.ipv4.tcp_rmem":                   true,
	"net.ipv4.tcp_wmem":                   true,
}

// CheckSysctls refuses a pod with a sysctl that is neither safe nor among allowed
// (exact names, or prefixes that end in *), or that would reach beyond the pod.
func CheckSysctls(pod *v1.Pod, allowed []string) error {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		name := dotted(s.Name)
		if !safeSysctls[name] && !permitted(name, allowed) {
			return fmt.Errorf("forbidden sysctl: %q not allowlisted", s.Name)
		}
		if pod.Spec.HostNetwork && strings.HasPrefix(name, "net.") {
			return fmt.Errorf("forbidden sysctl: %q not allowed with host net enabled", s.Name)
		}
		if pod.Spec.HostIPC && (strings.HasPrefix(name, "kernel.") || strings.HasPrefix(name, "fs.")) {
			return fmt.Errorf("forbidden sysctl: %q not allowed with host ipc enabled", s.Name)
		}
	}
	return nil
}

func permitted(name string, allowed []string) bool {
	for _, a := range allowed {
		a = dotted(a)
		if prefix, ok := strings.CutSuffix(a, "*"); a == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// dotted turns a sysctl's name with slashes, "net/ipv4/conf/eth0.1/arp", into the
// dotted form, in which dots of the name's parts become slashes.
func dotted(name string) string {
	separator := strings.IndexAny(name, "./")
	if separator < 0 || name[separator] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

// Sysctls returns the pod's sysctls as the runtime takes them.
func Sysctls(pod *v1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[dotted(s.Name)] = s.Value
	}
	return out
}

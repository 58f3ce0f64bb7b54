package spec

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// maxHostname is the kernel's limit of a host name, maxLabel DNS's of a label.
const (
	maxHostname = 64
	maxLabel    = 63
)

// Hostname returns the pod's host name and, if it has a subdomain, its domain.
func Hostname(pod *v1.Pod, node *Node) (name, domain string) {
	if o := pod.Spec.HostnameOverride; o != nil {
		return *o, ""
	}
	name = pod.Spec.Hostname
	if name == "" {
		name = pod.Name
		if len(name) > maxLabel {
			// A pod's name may be longer than a label; what ends the cut must not be a separator.
			name = strings.TrimRight(name[:maxLabel], "-.")
		}
	}
	if pod.Spec.Subdomain != "" {
		domain = fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, node.ClusterDomain)
	}
	return name, domain
}

// KernelHostname returns what uname says in the pod: the host name, or the full
// one where setHostnameAsFQDN asks for it, which must fit the kernel's 64 bytes.
func KernelHostname(pod *v1.Pod, node *Node) (string, error) {
	name, domain := Hostname(pod, node)
	fqdn := pod.Spec.SetHostnameAsFQDN != nil && *pod.Spec.SetHostnameAsFQDN
	if !fqdn || domain == "" {
		return name, nil
	}
	full := name + "." + domain
	if len(full) > maxHostname {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)",
			full, maxHostname, len(full))
	}
	return full, nil
}

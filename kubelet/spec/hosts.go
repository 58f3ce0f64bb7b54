package spec

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// hostHosts is the node's own hosts file, the base of those of pods on its network.
const hostHosts = "/etc/hosts"

// EtcHosts returns the contents of the pod's /etc/hosts: the pod's own addresses
// and name, or the node's file for a pod on the node's network, and hostAliases.
func EtcHosts(pod *v1.Pod, podIPs []string, node *Node) ([]byte, error) {
	var b bytes.Buffer
	if pod.Spec.HostNetwork {
		own, err := os.ReadFile(hostHosts)
		if err != nil {
			return nil, fmt.Errorf("the node's hosts file: %w", err)
		}
		b.WriteString("# Kubernetes-managed hosts file (host network).\n")
		b.Write(own)
	} else {
		b.WriteString("# Kubernetes-managed hosts file.\n" +
			"127.0.0.1\tlocalhost\n" +
			"::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\n" +
			"fe00::0\tip6-mcastprefix\n" +
			"fe00::1\tip6-allnodes\n" +
			"fe00::2\tip6-allrouters\n")
		name, domain := Hostname(pod, node)
		if domain != "" {
			name = name + "." + domain + "\t" + name
		}
		for _, ip := range podIPs {
			b.WriteString(ip + "\t" + name + "\n")
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString("\n# Entries added by HostAliases.\n")
		for _, alias := range pod.Spec.HostAliases {
			b.WriteString(alias.IP + "\t" + strings.Join(alias.Hostnames, "\t") + "\n")
		}
	}
	return b.Bytes(), nil
}

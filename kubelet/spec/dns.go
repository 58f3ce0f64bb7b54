package spec

import (
	"fmt"
	"os"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Limits of what resolvers read (MAXNS of glibc; the search list's as in
// validation of PodDNSConfig).
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
)

// Warning is an event about a pod that is not an error.
type Warning struct{ Reason, Message string }

// DNS returns the pod's resolver configuration, and warnings about what had to
// be left out. The policies are those of dnsPolicy; dnsConfig adds to them.
func DNS(pod *v1.Pod, node *Node) (*runtimeapi.DNSConfig, []Warning, error) {
	host, err := ReadResolvConf(node.ResolvConf)
	if err != nil {
		return nil, nil, err
	}
	var warnings []Warning
	config := &runtimeapi.DNSConfig{}
	switch policy := effectivePolicy(pod); {
	case policy == v1.DNSNone:
	case policy == v1.DNSClusterFirst && len(node.ClusterDNS) > 0:
		config = clusterFirst(pod, node, host)
	default:
		if policy == v1.DNSClusterFirst {
			warnings = append(warnings, Warning{"MissingClusterDNS", fmt.Sprintf(
				"pod: %q. kubelet does not have ClusterDNS IP configured and cannot create Pod using %q policy. Falling back to %q policy.",
				fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID), pod.Spec.DNSPolicy, v1.DNSDefault)})
		}
		config = host
		if node.ResolvConf == "" {
			// Without any servers the runtime would copy the host's file.
			config.Servers, config.Searches = []string{"127.0.0.1", "::1"}, []string{"."}
		}
	}
	if pod.Spec.DNSConfig != nil {
		merge(config, pod.Spec.DNSConfig)
	}
	return config, append(warnings, limit(config)...), nil
}

// effectivePolicy: on the node's network ClusterFirst means the node's DNS.
func effectivePolicy(pod *v1.Pod) v1.DNSPolicy {
	switch pod.Spec.DNSPolicy {
	case v1.DNSNone, v1.DNSDefault:
		return pod.Spec.DNSPolicy
	case v1.DNSClusterFirstWithHostNet:
		return v1.DNSClusterFirst
	}
	if pod.Spec.HostNetwork {
		return v1.DNSDefault
	}
	return v1.DNSClusterFirst
}

func clusterFirst(pod *v1.Pod, node *Node, host *runtimeapi.DNSConfig) *runtimeapi.DNSConfig {
	config := &runtimeapi.DNSConfig{Servers: node.ClusterDNS, Options: []string{"ndots:5"}}
	if node.ClusterDomain != "" {
		svc := "svc." + node.ClusterDomain
		config.Searches = []string{pod.Namespace + "." + svc, svc, node.ClusterDomain}
	}
	config.Searches = unique(config.Searches, host.Searches)
	return config
}

func merge(config *runtimeapi.DNSConfig, more *v1.PodDNSConfig) {
	config.Servers = unique(config.Servers, more.Nameservers)
	config.Searches = unique(config.Searches, more.Searches)
	// An option of the pod's replaces one of the same name.
	options := map[string]string{}
	for _, o := range config.Options {
		name, value, _ := strings.Cut(o, ":")
		options[name] = value
	}
	for _, o := range more.Options {
		options[o.Name] = ""
		if o.Value != nil {
			options[o.Name] = *o.Value
		}
	}
	config.Options = nil
	for name, value := range options {
		if value != "" {
			name += ":" + value
		}
		config.Options = append(config.Options, name)
	}
	sort.Strings(config.Options)
}

func unique(list, more []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range append(append([]string(nil), list...), more...) {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func limit(config *runtimeapi.DNSConfig) []Warning {
	var warnings []Warning
	if len(config.Servers) > maxNameservers {
		config.Servers = config.Servers[:maxNameservers]
		warnings = append(warnings, Warning{"DNSConfigForming", fmt.Sprintf(
			"Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: %s", strings.Join(config.Servers, " "))})
	}
	kept := config.Searches
	if len(kept) > maxSearches {
		kept = kept[:maxSearches]
	}
	for len(strings.Join(kept, " ")) > maxSearchChars {
		kept = kept[:len(kept)-1]
	}
	if len(kept) < len(config.Searches) {
		config.Searches = kept
		warnings = append(warnings, Warning{"DNSConfigForming", fmt.Sprintf(
			"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: %s", strings.Join(kept, " "))})
	}
	return warnings
}

// ReadResolvConf reads a resolver configuration; an empty path is an empty one.
func ReadResolvConf(path string) (*runtimeapi.DNSConfig, error) {
	config := &runtimeapi.DNSConfig{}
	if path == "" {
		return config, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("resolver configuration: %w", err)
	}
	for _, line := range strings.Split(string(raw), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 1 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if len(fields) > 1 {
				config.Servers = append(config.Servers, fields[1])
			}
		case "search", "domain":
			// The last line of these is the one that counts.
			config.Searches = nil
			for _, s := range fields[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				config.Searches = append(config.Searches, s)
			}
		case "options":
			config.Options = unique(config.Options, fields[1:])
		}
	}
	return config, nil
}

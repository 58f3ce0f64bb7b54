package spec

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/cri"
)

// SandboxInput is what a sandbox is made from besides the pod.
type SandboxInput struct {
	Node         *Node
	Attempt      uint32
	CgroupParent string
	IDMaps       *IDMaps
	// Groups are supplemental groups that the pod's volumes ask for.
	Groups []int64
}

// Sandbox returns the configuration of the pod's sandbox, and warnings about its DNS.
func Sandbox(pod *v1.Pod, in SandboxInput) (*runtimeapi.PodSandboxConfig, []Warning, error) {
	dns, warnings, err := DNS(pod, in.Node)
	if err != nil {
		return nil, nil, err
	}
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{
			Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: in.Attempt,
		},
		Labels:       cri.PodLabels(pod),
		Annotations:  pod.Annotations,
		LogDirectory: in.Node.LogDir(pod),
		DnsConfig:    dns,
		PortMappings: portMappings(pod),
	}
	if !pod.Spec.HostNetwork {
		if config.Hostname, err = KernelHostname(pod, in.Node); err != nil {
			return nil, warnings, err
		}
	}
	config.Linux, err = sandboxLinux(pod, in)
	return config, warnings, err
}

func sandboxLinux(pod *v1.Pod, in SandboxInput) (*runtimeapi.LinuxPodSandboxConfig, error) {
	sc := &runtimeapi.LinuxSandboxSecurityContext{
		Privileged:         privileged(pod),
		NamespaceOptions:   Namespaces(pod, in.IDMaps),
		SupplementalGroups: Groups(pod, in.Groups),
		// The sandbox's own process needs nothing that the default profile refuses.
		Seccomp: &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
	}
	linux := &runtimeapi.LinuxPodSandboxConfig{CgroupParent: in.CgroupParent, SecurityContext: sc, Sysctls: Sysctls(pod)}
	linux.Resources, linux.Overhead = PodResources(pod, in.Node)
	ps := pod.Spec.SecurityContext
	if ps == nil {
		return linux, nil
	}
	if ps.RunAsUser != nil {
		sc.RunAsUser = &runtimeapi.Int64Value{Value: *ps.RunAsUser}
	}
	if ps.RunAsGroup != nil {
		if ps.RunAsUser == nil {
			sc.RunAsUser = &runtimeapi.Int64Value{Value: 0}
		}
		sc.RunAsGroup = &runtimeapi.Int64Value{Value: *ps.RunAsGroup}
	}
	if ps.SupplementalGroupsPolicy != nil {
		policy, ok := runtimeapi.SupplementalGroupsPolicy_value[string(*ps.SupplementalGroupsPolicy)]
		if !ok {
			return nil, fmt.Errorf("unsupported supplementalGroupsPolicy: %s", *ps.SupplementalGroupsPolicy)
		}
		sc.SupplementalGroupsPolicy = runtimeapi.SupplementalGroupsPolicy(policy)
	}
	sc.SelinuxOptions = selinux(ps.SELinuxOptions)
	return linux, nil
}

// privileged: a sandbox must be so if one of its containers is.
func privileged(pod *v1.Pod) bool {
	found := false
	EachContainer(pod, func(c *v1.Container, _ Kind) {
		sc := c.SecurityContext
		found = found || sc != nil && sc.Privileged != nil && *sc.Privileged
	})
	return found
}

func portMappings(pod *v1.Pod) []*runtimeapi.PortMapping {
	if pod.Spec.HostNetwork {
		return nil
	}
	var out []*runtimeapi.PortMapping
	EachContainer(pod, func(c *v1.Container, _ Kind) {
		for _, p := range c.Ports {
			out = append(out, &runtimeapi.PortMapping{
				Protocol:      runtimeapi.Protocol(runtimeapi.Protocol_value[string(p.Protocol)]),
				ContainerPort: p.ContainerPort,
				HostPort:      p.HostPort,
				HostIp:        p.HostIP,
			})
		}
	})
	return out
}

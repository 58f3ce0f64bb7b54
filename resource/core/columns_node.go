package core

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/septet-io/septet/resource"
)

const (
	rolePrefix    = "node-role.kubernetes.io/"
	olderRoleName = "kubernetes.io/role"
)

func nodeColumns() []resource.Column[*corev1.Node] {
	info := corev1.NodeSystemInfo{}.SwaggerDoc()
	address := func(kind corev1.NodeAddressType) func(*corev1.Node) string {
		return func(node *corev1.Node) string {
			for _, a := range node.Status.Addresses {
				if a.Type == kind {
					return a.Address
				}
			}
			return "<none>"
		}
	}
	known := func(of func(*corev1.NodeSystemInfo) string) func(*corev1.Node) string {
		return func(node *corev1.Node) string {
			if s := of(&node.Status.NodeInfo); s != "" {
				return s
			}
			return "<unknown>"
		}
	}
	return []resource.Column[*corev1.Node]{
		resource.Name[*corev1.Node](),
		resource.Text("Status", "The status of the node", nodeStatus),
		resource.Text("Roles", "The roles of the node", nodeRoles),
		resource.Age[*corev1.Node](),
		resource.Text("Version", info["kubeletVersion"], func(n *corev1.Node) string { return n.Status.NodeInfo.KubeletVersion }),
		resource.Wide("Internal-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"], address(corev1.NodeInternalIP)),
		resource.Wide("External-IP", corev1.NodeStatus{}.SwaggerDoc()["addresses"], address(corev1.NodeExternalIP)),
		resource.Wide("OS-Image", info["osImage"], known(func(i *corev1.NodeSystemInfo) string { return i.OSImage })),
		resource.Wide("Kernel-Version", info["kernelVersion"], known(kernelVersion)),
		resource.Wide("Container-Runtime", info["containerRuntimeVersion"],
			known(func(i *corev1.NodeSystemInfo) string { return i.ContainerRuntimeVersion })),
	}
}

func nodeStatus(node *corev1.Node) string {
	status := "Unknown"
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status = "NotReady"
			if c.Status == corev1.ConditionTrue {
				status = "Ready"
			}
		}
	}
	if node.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(node *corev1.Node) string {
	var roles []string
	for label, value := range node.Labels {
		if role, ok := strings.CutPrefix(label, rolePrefix); ok && role != "" {
			roles = append(roles, role)
		} else if label == olderRoleName && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return orNone(strings.Join(slices.Compact(roles), ","))
}

// kernelVersion is the version with the architecture, where it is known.
func kernelVersion(info *corev1.NodeSystemInfo) string {
	if info.Architecture == "" {
		return info.KernelVersion
	}
	return cmp.Or(info.KernelVersion, "<unknown>") + " (" + info.Architecture + ")"
}

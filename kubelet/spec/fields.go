package spec

import (
	"fmt"
	"math"
	"net"
	"sort"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FieldValue returns the value of a downward API fieldRef for an environment
// variable. podIPs are the addresses of the pod's sandbox: its status in the
// API may not have them yet.
func FieldValue(pod *v1.Pod, path string, podIPs []string, node *Node) (string, error) {
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return pairs(pod.Labels), nil
	case "metadata.annotations":
		return pairs(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(hostIPs(node)), nil
	case "status.hostIPs":
		return strings.Join(hostIPs(node), ","), nil
	case "status.podIP":
		return first(podIPs), nil
	case "status.podIPs":
		return strings.Join(podIPs, ","), nil
	}
	field, key, ok := subscript(path)
	switch {
	case ok && field == "metadata.labels":
		return pod.Labels[key], nil
	case ok && field == "metadata.annotations":
		if errs := validation.IsQualifiedName(strings.ToLower(key)); len(errs) != 0 {
			return "", fmt.Errorf("invalid key subscript in %s: %s", path, strings.Join(errs, ";"))
		}
		return pod.Annotations[key], nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

// subscript splits "metadata.labels['key']" into its field and key.
func subscript(path string) (field, key string, ok bool) {
	if !strings.HasSuffix(path, "']") {
		return "", "", false
	}
	field, key, ok = strings.Cut(strings.TrimSuffix(path, "']"), "['")
	return field, key, ok && field != "" && key != ""
}

func pairs(m map[string]string) string {
	lines := make([]string, 0, len(m))
	for k, v := range m {
		lines = append(lines, k+"="+strconv.Quote(v))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func hostIPs(node *Node) []string {
	return text(node.IPs())
}

func text(ips []net.IP) []string {
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = ip.String()
	}
	return out
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// ResourceValue returns the value of a downward API resourceFieldRef, rounded up
// to whole units of its divisor. A limit of CPU, memory or ephemeral storage that
// the container does not set is what the node can give. container is used where
// the reference names none.
func ResourceValue(pod *v1.Pod, ref *v1.ResourceFieldSelector, container string, allocatable v1.ResourceList) (string, error) {
	if ref.ContainerName != "" {
		container = ref.ContainerName
	}
	c, _ := Find(pod, container)
	if c == nil {
		return "", fmt.Errorf("container %s not found", container)
	}
	side, name, ok := strings.Cut(ref.Resource, ".")
	resourceName := v1.ResourceName(name)
	if !ok || !supportedResource(resourceName) {
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	var q resource.Quantity
	switch side {
	case "limits":
		var set bool
		if q, set = c.Resources.Limits[resourceName]; !set || q.IsZero() {
			if !strings.HasPrefix(name, v1.ResourceHugePagesPrefix) {
				q = allocatable[resourceName]
			}
		}
	case "requests":
		q = c.Resources.Requests[resourceName]
	default:
		return "", fmt.Errorf("unsupported container resource : %v", ref.Resource)
	}
	return divide(q, ref.Divisor, resourceName == v1.ResourceCPU), nil
}

func supportedResource(name v1.ResourceName) bool {
	switch name {
	case v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage:
		return true
	}
	return strings.HasPrefix(string(name), v1.ResourceHugePagesPrefix)
}

func divide(q, divisor resource.Quantity, milli bool) string {
	value, unit := q.Value(), divisor.Value()
	if milli {
		value, unit = q.MilliValue(), divisor.MilliValue()
		if divisor.IsZero() {
			unit = 1000
		}
	}
	if unit == 0 {
		unit = 1
	}
	return strconv.FormatInt(int64(math.Ceil(float64(value)/float64(unit))), 10)
}

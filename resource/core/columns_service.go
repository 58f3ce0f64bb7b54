package core

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/septet-io/septet/resource"
)

func serviceColumns() []resource.Column[*corev1.Service] {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []resource.Column[*corev1.Service]{
		resource.Name[*corev1.Service](),
		resource.Text("Type", doc["type"], func(s *corev1.Service) string { return string(s.Spec.Type) }),
		resource.Text("Cluster-IP", doc["clusterIP"], func(s *corev1.Service) string {
			if len(s.Spec.ClusterIPs) > 0 {
				return s.Spec.ClusterIPs[0]
			}
			return orNone(s.Spec.ClusterIP)
		}),
		resource.Text("External-IP", doc["externalIPs"], externalIP),
		resource.Text("Port(s)", doc["ports"], servicePorts),
		resource.Age[*corev1.Service](),
		resource.Wide("Selector", doc["selector"], func(s *corev1.Service) string { return labels.FormatLabels(s.Spec.Selector) }),
	}
}

func externalIP(service *corev1.Service) string {
	spec := &service.Spec
	switch spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return orNone(strings.Join(spec.ExternalIPs, ","))
	case corev1.ServiceTypeLoadBalancer:
		var points []string
		for _, point := range service.Status.LoadBalancer.Ingress {
			if point.IP != "" {
				points = append(points, point.IP)
			} else if point.Hostname != "" {
				points = append(points, point.Hostname)
			}
		}
		slices.Sort(points)
		points = append(slices.Compact(points), spec.ExternalIPs...)
		if len(points) == 0 {
			return "<pending>"
		}
		return strings.Join(points, ",")
	case corev1.ServiceTypeExternalName:
		return spec.ExternalName
	}
	return "<unknown>"
}

func servicePorts(service *corev1.Service) string {
	list := make([]string, len(service.Spec.Ports))
	for i, port := range service.Spec.Ports {
		list[i] = fmt.Sprintf("%d/%s", port.Port, port.Protocol)
		if port.NodePort > 0 {
			list[i] = fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol)
		}
	}
	return orNone(strings.Join(list, ","))
}

// shownEndpoints is how many endpoints fit into a column.
const shownEndpoints = 3

func endpointsColumns() []resource.Column[*corev1.Endpoints] {
	return []resource.Column[*corev1.Endpoints]{
		resource.Name[*corev1.Endpoints](),
		resource.Text("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"], endpointList),
		resource.Age[*corev1.Endpoints](),
	}
}

func endpointList(endpoints *corev1.Endpoints) string {
	var list []string
	for _, subset := range endpoints.Subsets {
		for _, address := range subset.Addresses {
			if len(subset.Ports) == 0 {
				list = append(list, address.IP)
			}
		}
		for _, port := range subset.Ports {
			for _, address := range subset.Addresses {
				list = append(list, net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
			}
		}
	}
	if more := len(list) - shownEndpoints; more > 0 {
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:shownEndpoints], ","), more)
	}
	return orNone(strings.Join(list, ","))
}

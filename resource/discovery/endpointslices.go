package discovery

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// EndpointSlices is all that the server knows about EndpointSlices.
func EndpointSlices() *resource.Kind {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	return resource.Define(resource.Definition[*discoveryv1.EndpointSlice]{
		Group: "discovery.k8s.io", Version: "v1", Kind: "EndpointSlice", Plural: "endpointslices",
		Scope:    resource.Namespaced,
		Validate: validateSlice, ValidateUpdate: validateSliceUpdate,
		Generation: true,
		Default:    defaultEndpointSlice,
		Columns: []resource.Column[*discoveryv1.EndpointSlice]{
			resource.Name[*discoveryv1.EndpointSlice](),
			resource.Text("AddressType", doc["addressType"], func(s *discoveryv1.EndpointSlice) string { return string(s.AddressType) }),
			resource.Text("Ports", doc["ports"], ports),
			resource.Text("Endpoints", doc["endpoints"], addresses),
			resource.Age[*discoveryv1.EndpointSlice](),
		},
	})
}

func defaultEndpointSlice(slice *discoveryv1.EndpointSlice) {
	for i := range slice.Ports {
		port := &slice.Ports[i]
		if port.Name == nil {
			port.Name = ptr.To("")
		}
		if port.Protocol == nil {
			port.Protocol = ptr.To(corev1.ProtocolTCP)
		}
	}
}

// shown is how many ports or addresses fit into a column.
const shown = 3

func ports(slice *discoveryv1.EndpointSlice) string {
	if len(slice.Ports) == 0 {
		return "<unset>"
	}
	list := make([]string, len(slice.Ports))
	for i, port := range slice.Ports {
		switch {
		case port.Port != nil:
			list[i] = strconv.Itoa(int(*port.Port))
		case port.Name != nil && *port.Name != "":
			list[i] = *port.Name
		default:
			list[i] = "*"
		}
	}
	return few(list)
}

func addresses(slice *discoveryv1.EndpointSlice) string {
	var list []string
	for i := range slice.Endpoints {
		list = append(list, slice.Endpoints[i].Addresses...)
	}
	if len(list) == 0 {
		return "<unset>"
	}
	return few(list)
}

func few(list []string) string {
	if len(list) <= shown {
		return strings.Join(list, ",")
	}
	return strings.Join(list[:shown], ",") + " + " + strconv.Itoa(len(list)-shown) + " more..."
}

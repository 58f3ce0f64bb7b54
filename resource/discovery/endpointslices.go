package discovery

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
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
		Generation: true, PrepareCreate: prepareSlice, PrepareUpdate: prepareSliceUpdate,
		Default: defaultEndpointSlice,
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

// prepareSlice drops what only v1beta1 could set.
func prepareSlice(_ *resource.Request, slice *discoveryv1.EndpointSlice) {
	for i := range slice.Endpoints {
		slice.Endpoints[i].DeprecatedTopology = nil
	}
}

// prepareSliceUpdate keeps the topology of old slices until their endpoints change; then it leaves the node's name, at least.
// Labels count for the generation, since they say whose endpoints these are.
func prepareSliceUpdate(_ *resource.Request, slice, old *discoveryv1.EndpointSlice) {
	same := equality.Semantic.DeepEqual(slice.Endpoints, old.Endpoints)
	if !same {
		keepNodeNames(slice, old)
	}
	if !same || slice.AddressType != old.AddressType || !equality.Semantic.DeepEqual(slice.Ports, old.Ports) ||
		!equality.Semantic.DeepEqual(slice.Labels, old.Labels) {
		slice.Generation = old.Generation + 1
	}
}

// keepNodeNames moves names of nodes that the old slice had in its topology to where they belong, and drops the topology.
func keepNodeNames(slice, old *discoveryv1.EndpointSlice) {
	var known []string
	for i := range old.Endpoints {
		if name, ok := old.Endpoints[i].DeprecatedTopology[corev1.LabelHostname]; ok && name != "" {
			known = append(known, name)
		}
	}
	for i := range slice.Endpoints {
		endpoint := &slice.Endpoints[i]
		name, ok := endpoint.DeprecatedTopology[corev1.LabelHostname]
		if ok && endpoint.NodeName == nil && slices.Contains(known, name) && len(validation.NameIsDNSSubdomain(name, false)) == 0 {
			endpoint.NodeName = &name
		}
	}
	prepareSlice(nil, slice)
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

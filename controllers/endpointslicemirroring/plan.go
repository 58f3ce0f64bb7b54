package endpointslicemirroring

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/endpointslice"
)

// fullest is the most endpoints that validation lets a slice have.
const fullest = 1000

// Changes are what to write, and what could not be mirrored. Slices in Update are copies.
type Changes struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
	// Invalid counts addresses that are none, Skipped those beyond the most of a subset.
	Invalid, Skipped int
}

// Plan computes what makes slices those of the Endpoints. perSubset is the most addresses that are mirrored of each subset.
func Plan(endpoints *corev1.Endpoints, current []*discoveryv1.EndpointSlice, perSubset int) Changes {
	var changes Changes
	wanted := changes.mirror(endpoints, perSubset)
	for _, slice := range current {
		i := slices.IndexFunc(wanted, func(w *discoveryv1.EndpointSlice) bool { return shape(w) == shape(slice) })
		if i < 0 {
			changes.Delete = append(changes.Delete, slice)
			continue
		}
		next := slice.DeepCopy()
		next.Labels, next.Endpoints, next.Ports = wanted[i].Labels, wanted[i].Endpoints, wanted[i].Ports
		next.Annotations = wanted[i].Annotations
		wanted = slices.Delete(wanted, i, i+1)
		if !same(slice, next) {
			changes.Update = append(changes.Update, next)
		}
	}
	changes.Create = wanted
	return changes
}

func shape(slice *discoveryv1.EndpointSlice) string {
	return endpointslice.Shape(slice.AddressType, slice.Ports)
}

// same leaves aside the time of the last change, which alone is no reason to write.
func same(a, b *discoveryv1.EndpointSlice) bool {
	return equality.Semantic.DeepEqual(a.Endpoints, b.Endpoints) && equality.Semantic.DeepEqual(a.Labels, b.Labels) &&
		equality.Semantic.DeepEqual(a.Ports, b.Ports) && equality.Semantic.DeepEqual(lasting(a.Annotations), lasting(b.Annotations))
}

func lasting(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	delete(kept, corev1.EndpointsLastChangeTriggerTime)
	return kept
}

// mirror returns the slices of the Endpoints: as few as their families and ports allow.
func (c *Changes) mirror(endpoints *corev1.Endpoints, perSubset int) []*discoveryv1.EndpointSlice {
	var mirrored []*discoveryv1.EndpointSlice
	for i := range endpoints.Subsets {
		subset := &endpoints.Subsets[i]
		ports, room := portsOf(subset), perSubset
		for _, part := range []struct {
			addresses []corev1.EndpointAddress
			ready     bool
		}{{subset.Addresses, true}, {subset.NotReadyAddresses, false}} {
			for j := range part.addresses {
				family, valid := familyOf(part.addresses[j].IP)
				switch {
				case room == 0:
					c.Skipped++
				case !valid:
					c.Invalid++
				default:
					room--
					mirrored = add(mirrored, endpoints, family, ports, endpointOf(&part.addresses[j], part.ready))
				}
			}
		}
	}
	for _, slice := range mirrored {
		slices.SortStableFunc(slice.Endpoints, func(a, b discoveryv1.Endpoint) int { return cmp.Compare(a.Addresses[0], b.Addresses[0]) })
	}
	return mirrored
}

// add puts an endpoint into the first slice of its family and ports that has room, or into a new one.
func add(to []*discoveryv1.EndpointSlice, endpoints *corev1.Endpoints, family discoveryv1.AddressType, ports []discoveryv1.EndpointPort, endpoint discoveryv1.Endpoint) []*discoveryv1.EndpointSlice {
	wanted := endpointslice.Shape(family, ports)
	i := slices.IndexFunc(to, func(s *discoveryv1.EndpointSlice) bool { return len(s.Endpoints) < fullest && shape(s) == wanted })
	if i < 0 {
		i = len(to)
		to = append(to, fresh(endpoints, family, ports))
	}
	to[i].Endpoints = append(to[i].Endpoints, endpoint)
	return to
}

// fresh makes a slice without endpoints. It takes over the labels and annotations of the Endpoints, except what is theirs alone.
func fresh(endpoints *corev1.Endpoints, family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: endpointslice.NamePrefix(endpoints.Name), Namespace: endpoints.Namespace,
			Labels: maps.Clone(endpoints.Labels), Annotations: maps.Clone(endpoints.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(endpoints, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
		},
		AddressType: family, Ports: ports,
	}
	if slice.Labels == nil {
		slice.Labels = map[string]string{}
	}
	slice.Labels[discoveryv1.LabelServiceName], slice.Labels[discoveryv1.LabelManagedBy] = endpoints.Name, ManagedBy
	delete(slice.Annotations, corev1.LastAppliedConfigAnnotation)
	return slice
}

func portsOf(subset *corev1.EndpointSubset) []discoveryv1.EndpointPort {
	ports := []discoveryv1.EndpointPort{}
	for i := range subset.Ports {
		port := &subset.Ports[i]
		ports = append(ports, discoveryv1.EndpointPort{
			Name: ptr.To(port.Name), Port: ptr.To(port.Port), Protocol: ptr.To(port.Protocol), AppProtocol: port.AppProtocol,
		})
	}
	return ports
}

func familyOf(ip string) (family discoveryv1.AddressType, valid bool) {
	address, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		return "", false
	case address.Is4():
		return discoveryv1.AddressTypeIPv4, true
	}
	return discoveryv1.AddressTypeIPv6, true
}

func endpointOf(address *corev1.EndpointAddress, ready bool) discoveryv1.Endpoint {
	endpoint := discoveryv1.Endpoint{
		Addresses: []string{address.IP}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)},
		TargetRef: address.TargetRef, NodeName: address.NodeName,
	}
	if address.Hostname != "" {
		endpoint.Hostname = ptr.To(address.Hostname)
	}
	return endpoint
}

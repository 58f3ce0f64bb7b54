package endpoints

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/septet-io/septet/controllers/endpointslice"
	"github.com/septet-io/septet/controllers/pods"
)

// most is how many addresses an Endpoints object holds at most.
const most = 1000

// place is an address and whether it is ready: what a port is to be found at.
type place struct {
	address corev1.EndpointAddress
	ready   bool
}

// Subsets returns the addresses and ports of a Service's Pods, packed: each subset is a set of addresses and all ports that
// are found at just these.
func Subsets(service *corev1.Service, of []*corev1.Pod) []corev1.EndpointSubset {
	family, tolerate := familyOf(service), service.Spec.PublishNotReadyAddresses
	places := map[portKey][]place{}
	ports := map[portKey]*corev1.EndpointPort{}
	for _, pod := range of {
		address := endpointslice.Address(pod, family)
		if address == "" || pods.Ended(pod) || pod.DeletionTimestamp != nil && !tolerate {
			continue
		}
		here := place{addressOf(service, pod, address), tolerate || pods.Ready(pod)}
		if len(service.Spec.Ports) == 0 && service.Spec.ClusterIP == corev1.ClusterIPNone {
			places[portKey{}] = append(places[portKey{}], here)
		}
		for i := range service.Spec.Ports {
			port := &service.Spec.Ports[i]
			number, found := endpointslice.TargetPort(pod, port)
			if !found {
				continue
			}
			key := portKey{port.Name, number, port.Protocol}
			if ports[key] == nil {
				ports[key] = &corev1.EndpointPort{Name: port.Name, Port: number, Protocol: port.Protocol, AppProtocol: port.AppProtocol}
			}
			places[key] = append(places[key], here)
		}
	}
	return pack(places, ports)
}

// portKey tells ports apart; the zero value stands for addresses without any.
type portKey struct {
	name     string
	number   int32
	protocol corev1.Protocol
}

// pack puts ports that are found at the same places into one subset.
func pack(places map[portKey][]place, ports map[portKey]*corev1.EndpointPort) []corev1.EndpointSubset {
	bySet := map[string]*corev1.EndpointSubset{}
	var sets []string
	for key, at := range places {
		slices.SortFunc(at, func(a, b place) int { return compareAddresses(a.address, b.address) })
		set := nameOf(at)
		if bySet[set] == nil {
			bySet[set] = subsetOf(at)
			sets = append(sets, set)
		}
		if port := ports[key]; port != nil {
			bySet[set].Ports = append(bySet[set].Ports, *port)
		}
	}
	slices.Sort(sets) // the order is the same each time, so that nothing is written without need
	subsets := []corev1.EndpointSubset{}
	for _, set := range sets {
		slices.SortFunc(bySet[set].Ports, comparePorts)
		subsets = append(subsets, *bySet[set])
	}
	return subsets
}

func subsetOf(at []place) *corev1.EndpointSubset {
	subset := &corev1.EndpointSubset{}
	for _, p := range at {
		if p.ready {
			subset.Addresses = append(subset.Addresses, p.address)
		} else {
			subset.NotReadyAddresses = append(subset.NotReadyAddresses, p.address)
		}
	}
	return subset
}

// nameOf is the same for the same places, which are sorted.
func nameOf(at []place) string {
	var name strings.Builder
	for _, p := range at {
		name.WriteString(p.address.IP)
		name.WriteByte(' ')
		name.WriteString(string(p.address.TargetRef.UID))
		if p.ready {
			name.WriteString(" ready")
		}
		name.WriteByte('\n')
	}
	return name.String()
}

func compareAddresses(a, b corev1.EndpointAddress) int {
	return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.TargetRef.UID, b.TargetRef.UID))
}

func comparePorts(a, b corev1.EndpointPort) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}

func addressOf(service *corev1.Service, pod *corev1.Pod, ip string) corev1.EndpointAddress {
	address := corev1.EndpointAddress{
		IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		address.NodeName = &pod.Spec.NodeName
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == service.Name {
		address.Hostname = pod.Spec.Hostname
	}
	return address
}

// familyOf is the one family of a Service's Endpoints: the first of the Service's.
func familyOf(service *corev1.Service) discoveryv1.AddressType {
	if len(service.Spec.IPFamilies) > 0 {
		return discoveryv1.AddressType(service.Spec.IPFamilies[0])
	}
	if strings.Contains(service.Spec.ClusterIP, ":") {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

// truncate leaves the most addresses that an object may hold, and says whether there were more: ready ones first, from each
// subset its share.
func truncate(subsets []corev1.EndpointSubset) ([]corev1.EndpointSubset, bool) {
	ready, unready := 0, 0
	for i := range subsets {
		ready += len(subsets[i].Addresses)
		unready += len(subsets[i].NotReadyAddresses)
	}
	if ready+unready <= most {
		return subsets, false
	}
	readyRoom := min(ready, most)
	unreadyRoom := min(unready, most-readyRoom)
	var left []corev1.EndpointSubset
	readySeen, unreadySeen := 0, 0
	for _, subset := range subsets {
		from, to := share(&readySeen, len(subset.Addresses), ready, readyRoom)
		subset.Addresses = subset.Addresses[:to-from]
		from, to = share(&unreadySeen, len(subset.NotReadyAddresses), unready, unreadyRoom)
		subset.NotReadyAddresses = subset.NotReadyAddresses[:to-from]
		if len(subset.Addresses)+len(subset.NotReadyAddresses) > 0 {
			left = append(left, subset)
		}
	}
	return left, true
}

// share cuts room into parts as large, compared with it, as n is compared with all. seen counts what was cut before, so that
// the parts add up to the room in spite of rounding.
func share(seen *int, n, all, room int) (from, to int) {
	if all == 0 {
		return 0, 0
	}
	from = *seen * room / all
	*seen += n
	return from, *seen * room / all
}

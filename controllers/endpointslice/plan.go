package endpointslice

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/controllers/pods"
)

// Snapshot is all that the slices of a Service depend on.
type Snapshot struct {
	Service *corev1.Service
	Pods    []*corev1.Pod
	// Slices are those that there are.
	Slices []*discoveryv1.EndpointSlice
	// Zone returns a Node's zone, empty if it has none.
	Zone     func(node string) string
	PerSlice int
}

// Changes are what to write. Slices in Update are copies.
type Changes struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// group is the part of a Service's endpoints that can share slices: of one family, with the same ports.
type group struct {
	family    discoveryv1.AddressType
	ports     []discoveryv1.EndpointPort
	endpoints map[string]discoveryv1.Endpoint // by address
}

// Plan computes the changes. Endpoints stay in the slices that they are in, so that few slices are written.
func Plan(s Snapshot) Changes {
	groups := s.groups()
	var changes Changes
	for _, slice := range s.Slices {
		g := groups[Shape(slice.AddressType, slice.Ports)]
		if g == nil {
			changes.Delete = append(changes.Delete, slice)
			continue
		}
		changes.keep(&s, slice, g)
	}
	keys := make([]string, 0, len(groups))
	for key := range groups {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		changes.place(&s, groups[key])
	}
	changes.settle(&s)
	return changes
}

// keep updates the endpoints of a slice and takes them out of the group: what is left there has no place yet.
func (c *Changes) keep(s *Snapshot, slice *discoveryv1.EndpointSlice, g *group) {
	next := slice.DeepCopy()
	next.Endpoints = next.Endpoints[:0]
	for _, endpoint := range slice.Endpoints {
		address := ""
		if len(endpoint.Addresses) > 0 {
			address = endpoint.Addresses[0]
		}
		if wanted, ok := g.endpoints[address]; ok {
			next.Endpoints = append(next.Endpoints, wanted)
			delete(g.endpoints, address)
		}
	}
	s.dress(next)
	c.Update = append(c.Update, next)
}

// place finds room for new endpoints: in slices that are there, else in new ones.
func (c *Changes) place(s *Snapshot, g *group) {
	addresses := make([]string, 0, len(g.endpoints))
	for address := range g.endpoints {
		addresses = append(addresses, address)
	}
	sort.Strings(addresses)
	key := Shape(g.family, g.ports)
	here := 0
	for _, slice := range c.Update {
		if Shape(slice.AddressType, slice.Ports) != key {
			continue
		}
		here++
		for len(slice.Endpoints) < s.PerSlice && len(addresses) > 0 {
			slice.Endpoints = append(slice.Endpoints, g.endpoints[addresses[0]])
			addresses = addresses[1:]
		}
	}
	for len(addresses) > 0 || here == 0 {
		n := min(len(addresses), s.PerSlice)
		slice := s.fresh(g)
		for _, address := range addresses[:n] {
			slice.Endpoints = append(slice.Endpoints, g.endpoints[address])
		}
		addresses, here = addresses[n:], here+1
		c.Create = append(c.Create, slice)
	}
}

// settle drops updates that change nothing, and slices that are empty while others of their kind are not needed for it.
func (c *Changes) settle(s *Snapshot) {
	old := map[string]*discoveryv1.EndpointSlice{}
	left := map[string]int{}
	for _, slice := range s.Slices {
		old[slice.Name] = slice
	}
	for _, slice := range slices.Concat(c.Update, c.Create) {
		left[Shape(slice.AddressType, slice.Ports)]++
	}
	var updates []*discoveryv1.EndpointSlice
	for _, slice := range c.Update {
		key := Shape(slice.AddressType, slice.Ports)
		if len(slice.Endpoints) == 0 && left[key] > 1 {
			left[key]--
			c.Delete = append(c.Delete, old[slice.Name])
			continue
		}
		before := old[slice.Name]
		if equality.Semantic.DeepEqual(before.Endpoints, slice.Endpoints) && equality.Semantic.DeepEqual(before.Ports, slice.Ports) && equality.Semantic.DeepEqual(before.Labels, slice.Labels) {
			continue
		}
		s.stamp(slice)
		updates = append(updates, slice)
	}
	c.Update = updates
}

// groups sorts the Pods' endpoints by family and ports. A family without endpoints has one empty group without ports.
func (s *Snapshot) groups() map[string]*group {
	groups := map[string]*group{}
	families := s.families()
	used := map[discoveryv1.AddressType]bool{}
	for _, pod := range s.Pods {
		if pods.Ended(pod) || len(pod.Status.PodIPs) == 0 && pod.Status.PodIP == "" {
			continue
		}
		if pod.DeletionTimestamp != nil && pod.Spec.NodeName == "" {
			continue
		}
		ports := portsOf(s.Service, pod)
		for _, family := range families {
			address := Address(pod, family)
			if address == "" {
				continue
			}
			key := Shape(family, ports)
			if groups[key] == nil {
				groups[key] = &group{family, ports, map[string]discoveryv1.Endpoint{}}
			}
			groups[key].endpoints[address] = s.endpoint(pod, address)
			used[family] = true
		}
	}
	for _, family := range families {
		if !used[family] {
			groups[Shape(family, nil)] = &group{family: family}
		}
	}
	return groups
}

func (s *Snapshot) families() []discoveryv1.AddressType {
	var families []discoveryv1.AddressType
	for _, family := range s.Service.Spec.IPFamilies {
		families = append(families, discoveryv1.AddressType(family))
	}
	if len(families) == 0 {
		families = append(families, discoveryv1.AddressTypeIPv4)
	}
	return families
}

// Address returns a Pod's address of a family, empty if it has none.
func Address(pod *corev1.Pod, family discoveryv1.AddressType) string {
	ips := pod.Status.PodIPs
	if len(ips) == 0 {
		ips = []corev1.PodIP{{IP: pod.Status.PodIP}}
	}
	for _, ip := range ips {
		if strings.Contains(ip.IP, ":") == (family == discoveryv1.AddressTypeIPv6) {
			return ip.IP
		}
	}
	return ""
}

// endpoint describes a Pod as an endpoint.
func (s *Snapshot) endpoint(pod *corev1.Pod, address string) discoveryv1.Endpoint {
	serving, terminating := pods.Ready(pod), pod.DeletionTimestamp != nil
	endpoint := discoveryv1.Endpoint{
		Addresses: []string{address},
		Conditions: discoveryv1.EndpointConditions{
			Ready: ptr.To(s.Service.Spec.PublishNotReadyAddresses || serving && !terminating), Serving: ptr.To(serving), Terminating: ptr.To(terminating),
		},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}
	if pod.Spec.NodeName != "" {
		endpoint.NodeName = ptr.To(pod.Spec.NodeName)
		if zone := s.Zone(pod.Spec.NodeName); zone != "" {
			endpoint.Zone = ptr.To(zone)
		}
	}
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == s.Service.Name && pod.Namespace == s.Service.Namespace {
		endpoint.Hostname = ptr.To(pod.Spec.Hostname)
	}
	s.hint(&endpoint)
	return endpoint
}

// hint says who should use an endpoint, where the Service asks for traffic to stay near (KEP-2433, KEP-3015).
func (s *Snapshot) hint(endpoint *discoveryv1.Endpoint) {
	policy := s.Service.Spec.TrafficDistribution
	if policy == nil || !*endpoint.Conditions.Ready {
		return
	}
	hints := &discoveryv1.EndpointHints{}
	if endpoint.Zone != nil {
		hints.ForZones = []discoveryv1.ForZone{{Name: *endpoint.Zone}}
	}
	if *policy == corev1.ServiceTrafficDistributionPreferSameNode && endpoint.NodeName != nil {
		hints.ForNodes = []discoveryv1.ForNode{{Name: *endpoint.NodeName}}
	}
	if hints.ForZones != nil || hints.ForNodes != nil {
		endpoint.Hints = hints
	}
}

// portsOf finds the Service's ports at a Pod; one that the Pod does not name is left out.
func portsOf(service *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	if len(service.Spec.Ports) == 0 && service.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil
	}
	ports := []discoveryv1.EndpointPort{}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		number, ok := TargetPort(pod, port)
		if !ok {
			continue
		}
		ports = append(ports, discoveryv1.EndpointPort{
			Name: ptr.To(port.Name), Port: ptr.To(number), Protocol: ptr.To(port.Protocol), AppProtocol: port.AppProtocol,
		})
	}
	return ports
}

// TargetPort finds a Service's port at a Pod; false if the Pod does not name it.
func TargetPort(pod *corev1.Pod, port *corev1.ServicePort) (int32, bool) {
	if name := port.TargetPort.StrVal; port.TargetPort.Type == 1 {
		for _, containers := range [][]corev1.Container{pod.Spec.Containers, sidecars(pod)} {
			for i := range containers {
				for _, p := range containers[i].Ports {
					if p.Name == name && p.Protocol == port.Protocol {
						return p.ContainerPort, true
					}
				}
			}
		}
		return 0, false
	}
	if port.TargetPort.IntVal == 0 {
		return port.Port, true
	}
	return port.TargetPort.IntVal, true
}

func sidecars(pod *corev1.Pod) []corev1.Container {
	var found []corev1.Container
	for i := range pod.Spec.InitContainers {
		if policy := pod.Spec.InitContainers[i].RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			found = append(found, pod.Spec.InitContainers[i])
		}
	}
	return found
}

// Shape is the same for slices that can share endpoints.
func Shape(family discoveryv1.AddressType, ports []discoveryv1.EndpointPort) string {
	parts := make([]string, 0, len(ports))
	for _, p := range ports {
		parts = append(parts, strings.Join([]string{
			ptr.Deref(p.Name, ""), strconv.Itoa(int(ptr.Deref(p.Port, 0))), string(ptr.Deref(p.Protocol, "")), ptr.Deref(p.AppProtocol, ""),
		}, "/"))
	}
	sort.Strings(parts)
	return string(family) + " " + strings.Join(parts, ",")
}

// fresh makes a slice of a group, without endpoints.
func (s *Snapshot) fresh(g *group) *discoveryv1.EndpointSlice {
	controller := metav1.NewControllerRef(s.Service, corev1.SchemeGroupVersion.WithKind("Service"))
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: NamePrefix(s.Service.Name), Namespace: s.Service.Namespace, OwnerReferences: []metav1.OwnerReference{*controller},
		},
		AddressType: g.family, Ports: g.ports, Endpoints: []discoveryv1.Endpoint{},
	}
	s.dress(slice)
	s.stamp(slice)
	return slice
}

// NamePrefix leaves room for the generated part of a name.
func NamePrefix(service string) string {
	const most = 63 - 5 - 1
	if len(service) > most {
		service = service[:most]
	}
	return service + "-"
}

// reserved labels are this controller's own.
var reserved = []string{discoveryv1.LabelServiceName, discoveryv1.LabelManagedBy, corev1.IsHeadlessService}

// dress gives a slice the Service's labels and this controller's.
func (s *Snapshot) dress(slice *discoveryv1.EndpointSlice) {
	labels := map[string]string{}
	for key, value := range s.Service.Labels {
		if !slices.Contains(reserved, key) {
			labels[key] = value
		}
	}
	labels[discoveryv1.LabelServiceName], labels[discoveryv1.LabelManagedBy] = s.Service.Name, ManagedBy
	if s.Service.Spec.ClusterIP == corev1.ClusterIPNone {
		labels[corev1.IsHeadlessService] = ""
	}
	slice.Labels = labels
}

// stamp notes when the change happened that made the slice be written.
func (s *Snapshot) stamp(slice *discoveryv1.EndpointSlice) {
	last := LastChange(s.Service, s.Pods)
	if last.IsZero() {
		return
	}
	if slice.Annotations == nil {
		slice.Annotations = map[string]string{}
	}
	slice.Annotations[corev1.EndpointsLastChangeTriggerTime] = last.UTC().Format(time.RFC3339Nano)
}

// LastChange is when the last thing happened that can have changed a Service's endpoints; zero if that is not known.
func LastChange(service *corev1.Service, of []*corev1.Pod) time.Time {
	last := service.CreationTimestamp.Time
	for _, pod := range of {
		if ready := pods.Condition(pod, corev1.PodReady); ready != nil && ready.LastTransitionTime.After(last) {
			last = ready.LastTransitionTime.Time
		}
	}
	return last
}

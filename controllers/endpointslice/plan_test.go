package endpointslice

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func service(edit ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "s-1", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, ClusterIP: "10.0.0.1", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	for _, f := range edit {
		f(s)
	}
	return s
}

// pod runs on node n with port http at 8080, and ready.
func pod(name, ip string, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, f := range edit {
		f(p)
	}
	return p
}

func unready(p *corev1.Pod)     { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func ended(p *corev1.Pod)       { p.Status.Phase = corev1.PodSucceeded }
func terminating(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
func onPort(n int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].ContainerPort = n }
}

func plan(s *corev1.Service, perSlice int, pods []*corev1.Pod, there ...*discoveryv1.EndpointSlice) Changes {
	return Plan(Snapshot{Service: s, Pods: pods, Slices: there, Zone: func(node string) string { return "zone-of-" + node }, PerSlice: perSlice})
}

// described renders slices as "IPv4 [http=8080] 10.1.0.1 10.1.0.2(serving terminating)", sorted.
func described(all []*discoveryv1.EndpointSlice) string {
	var lines []string
	for _, slice := range all {
		line := string(slice.AddressType) + " ["
		for _, port := range slice.Ports {
			line += fmt.Sprintf("%s=%d", *port.Name, *port.Port)
		}
		line += "]"
		for _, endpoint := range slice.Endpoints {
			line += " " + endpoint.Addresses[0] + state(endpoint.Conditions)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

func state(c discoveryv1.EndpointConditions) string {
	var words []string
	if *c.Ready != (*c.Serving && !*c.Terminating) {
		words = append(words, fmt.Sprintf("ready=%t", *c.Ready))
	}
	if !*c.Serving {
		words = append(words, "unready")
	}
	if *c.Terminating {
		words = append(words, "terminating")
	}
	if len(words) == 0 {
		return ""
	}
	return "(" + strings.Join(words, " ") + ")"
}

func TestFirstSlices(t *testing.T) {
	t.Parallel()
	dual := func(s *corev1.Service) {
		s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	}
	for _, test := range []struct {
		name    string
		service *corev1.Service
		pods    []*corev1.Pod
		want    string
	}{
		{"nobody: a slice that says so", service(), nil, "IPv4 []"},
		{"two", service(), []*corev1.Pod{pod("b", "10.1.0.2"), pod("a", "10.1.0.1")}, "IPv4 [http=8080] 10.1.0.1 10.1.0.2"},
		{"three, two fit", service(), []*corev1.Pod{pod("b", "10.1.0.2"), pod("a", "10.1.0.1"), pod("c", "10.1.0.3")}, "IPv4 [http=8080] 10.1.0.1 10.1.0.2; IPv4 [http=8080] 10.1.0.3"},
		{"not ready", service(), []*corev1.Pod{pod("a", "10.1.0.1", unready)}, "IPv4 [http=8080] 10.1.0.1(unready)"},
		{"on its way out, still serving", service(), []*corev1.Pod{pod("a", "10.1.0.1", terminating)}, "IPv4 [http=8080] 10.1.0.1(terminating)"},
		{"not ready, but shown as", service(func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }),
			[]*corev1.Pod{pod("a", "10.1.0.1", unready)}, "IPv4 [http=8080] 10.1.0.1(ready=true unready)"},
		{"over", service(), []*corev1.Pod{pod("a", "10.1.0.1", ended)}, "IPv4 []"},
		{"two numbers of a name", service(), []*corev1.Pod{pod("a", "10.1.0.1"), pod("b", "10.1.0.2", onPort(9))}, "IPv4 [http=8080] 10.1.0.1; IPv4 [http=9] 10.1.0.2"},
		{"two families", service(dual), []*corev1.Pod{pod("a", "10.1.0.1", func(p *corev1.Pod) { p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: "fd00::1"}) })},
			"IPv4 [http=8080] 10.1.0.1; IPv6 [http=8080] fd00::1"},
		{"two families, one used", service(dual), []*corev1.Pod{pod("a", "10.1.0.1")}, "IPv4 [http=8080] 10.1.0.1; IPv6 []"},
		{"headless without ports", service(func(s *corev1.Service) { s.Spec.Ports, s.Spec.ClusterIP = nil, corev1.ClusterIPNone }),
			[]*corev1.Pod{pod("a", "10.1.0.1")}, "IPv4 [] 10.1.0.1"},
	} {
		changes := plan(test.service, 2, test.pods)
		if got := described(changes.Create); got != test.want || len(changes.Update)+len(changes.Delete) > 0 {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// named gives slices names and UIDs, as a server does.
func named(created []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	for i, slice := range created {
		slice.Name = fmt.Sprintf("%s%d", slice.GenerateName, i)
	}
	return created
}

func TestSlicesChangeLittle(t *testing.T) {
	t.Parallel()
	a, b, c := pod("a", "10.1.0.1"), pod("b", "10.1.0.2"), pod("c", "10.1.0.3")
	for _, test := range []struct {
		name                   string
		pods                   []*corev1.Pod
		create, update, delete string
	}{
		{"nothing", []*corev1.Pod{c, b, a}, "", "", ""},
		{"one more has room", []*corev1.Pod{a, b, c, pod("d", "10.1.0.4")}, "", "IPv4 [http=8080] 10.1.0.3 10.1.0.4", ""},
		{"two more have not", []*corev1.Pod{a, b, c, pod("d", "10.1.0.4"), pod("e", "10.1.0.5")}, "IPv4 [http=8080] 10.1.0.5", "IPv4 [http=8080] 10.1.0.3 10.1.0.4", ""},
		{"one turns unready", []*corev1.Pod{a, pod("b", "10.1.0.2", unready), c}, "", "IPv4 [http=8080] 10.1.0.1 10.1.0.2(unready)", ""},
		{"the last of a slice goes", []*corev1.Pod{a, b}, "", "", "IPv4 [http=8080] 10.1.0.3"},
		{"one is replaced", []*corev1.Pod{a, pod("d", "10.1.0.4"), c}, "", "IPv4 [http=8080] 10.1.0.1 10.1.0.4", ""},
		{"all go", nil, "IPv4 []", "", "IPv4 [http=8080] 10.1.0.1 10.1.0.2; IPv4 [http=8080] 10.1.0.3"},
	} {
		there := named(plan(service(), 2, []*corev1.Pod{a, b, c}).Create)
		changes := plan(service(), 2, test.pods, there...)
		if got := described(changes.Create); got != test.create {
			t.Errorf("%s: creates %q, want %q", test.name, got, test.create)
		}
		if got := described(changes.Update); got != test.update {
			t.Errorf("%s: updates %q, want %q", test.name, got, test.update)
		}
		if got := described(changes.Delete); got != test.delete {
			t.Errorf("%s: deletes %q, want %q", test.name, got, test.delete)
		}
	}
}

func TestWhatASliceSays(t *testing.T) {
	t.Parallel()
	headless := service(func(s *corev1.Service) {
		s.Spec.ClusterIP = corev1.ClusterIPNone
		s.Labels[discoveryv1.LabelManagedBy] = "a liar"
	})
	changed := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	slice := plan(headless, 100, []*corev1.Pod{pod("a", "10.1.0.1", func(p *corev1.Pod) {
		p.Spec.Hostname, p.Spec.Subdomain = "zero", "web"
		p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(changed)
	})}).Create[0]
	if _, marked := slice.Labels[corev1.IsHeadlessService]; !marked || slice.Labels["team"] != "a" ||
		slice.Labels[discoveryv1.LabelServiceName] != "web" || slice.Labels[discoveryv1.LabelManagedBy] != ManagedBy {
		t.Errorf("labels: %v", slice.Labels)
	}
	if owner := metav1.GetControllerOf(slice); slice.GenerateName != "web-" || owner == nil || owner.UID != "s-1" || owner.Kind != "Service" {
		t.Errorf("%s, owned by %v", slice.GenerateName, owner)
	}
	if slice.Annotations[corev1.EndpointsLastChangeTriggerTime] != "2026-01-01T00:00:00Z" {
		t.Errorf("annotations: %v", slice.Annotations)
	}
	endpoint := slice.Endpoints[0]
	if *endpoint.NodeName != "n" || *endpoint.Zone != "zone-of-n" || *endpoint.Hostname != "zero" || endpoint.TargetRef.UID != "a" || endpoint.Hints != nil {
		t.Errorf("endpoint: %v", endpoint)
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		distribution *string
		edit         func(*corev1.Pod)
		zones, nodes int
	}{
		{nil, nil, 0, 0},
		{ptr.To(corev1.ServiceTrafficDistributionPreferClose), nil, 1, 0},
		{ptr.To(corev1.ServiceTrafficDistributionPreferSameZone), nil, 1, 0},
		{ptr.To(corev1.ServiceTrafficDistributionPreferSameNode), nil, 1, 1},
		{ptr.To(corev1.ServiceTrafficDistributionPreferSameNode), unready, 0, 0},
	} {
		p := pod("a", "10.1.0.1")
		if test.edit != nil {
			test.edit(p)
		}
		slice := plan(service(func(s *corev1.Service) { s.Spec.TrafficDistribution = test.distribution }), 100, []*corev1.Pod{p}).Create[0]
		hints := ptr.Deref(slice.Endpoints[0].Hints, discoveryv1.EndpointHints{})
		if len(hints.ForZones) != test.zones || len(hints.ForNodes) != test.nodes {
			t.Errorf("%s: %v", ptr.Deref(test.distribution, "anywhere"), hints)
		}
	}
}

// What was written is waited for until the informer shows it.
func TestWritten(t *testing.T) {
	t.Parallel()
	key := types.NamespacedName{Namespace: "default", Name: "web"}
	slice := func(generation int64) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Generation: generation}}
	}
	var w Written
	if w.Ahead(key, nil) {
		t.Error("ahead without a write")
	}
	w.slices = map[types.NamespacedName]map[string]write{key: {"web-1": {2, time.Now().Add(time.Hour)}}} // so that it never is long ago
	if !w.Ahead(key, nil) || !w.Ahead(key, []*discoveryv1.EndpointSlice{slice(1)}) {
		t.Error("not ahead of an informer that shows an older slice")
	}
	if w.Ahead(key, []*discoveryv1.EndpointSlice{slice(2)}) {
		t.Error("still ahead of an informer that shows it")
	}
	w.Note(key, slice(3), nil)
	w.slices[key]["web-1"] = write{3, time.Now().Add(-time.Hour)}
	if w.Ahead(key, nil) {
		t.Error("waits for ever")
	}
	w.Note(key, nil, fmt.Errorf("refused"))
	if w.Forget(key); w.Ahead(key, nil) {
		t.Error("a failed write is waited for")
	}
}

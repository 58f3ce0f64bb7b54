package networking

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func expect(t *testing.T, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func web(number int32) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: number}}}
}

func onPath(p string, kind networkingv1.PathType) networkingv1.HTTPIngressPath {
	return networkingv1.HTTPIngressPath{Path: p, PathType: &kind, Backend: web(80)}
}

func rule(host string, paths ...networkingv1.HTTPIngressPath) networkingv1.IngressRule {
	return networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: paths}}}
}

func TestIngresses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spec networkingv1.IngressSpec
		want []string
	}{
		"good": {networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule("*.example.com", onPath("/a", "Prefix"), onPath("", "ImplementationSpecific"))}}, nil},
		"nothing": {networkingv1.IngressSpec{}, []string{
			"spec: Invalid value: null: either `defaultBackend` or `rules` must be specified",
		}},
		"backends": {networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{}, Rules: []networkingv1.IngressRule{
			rule("10.0.0.1", networkingv1.HTTPIngressPath{}), rule("a"),
		}}, []string{
			`spec.defaultBackend: Invalid value: "": resource or service backend is required`,
			`spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address`,
			"spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
			"spec.rules[0].http.paths: Required value",
		}},
		"paths": {networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule("", onPath("a//b/..", "Exact"), onPath("a", "ImplementationSpecific"), onPath("/", "Regex"))}}, []string{
			`spec.rules[0].http.paths[0].path: Invalid value: "a//b/..": must be an absolute path`,
			`spec.rules[0].http.paths[0].path: Invalid value: "a//b/..": must not contain '//'`,
			`spec.rules[0].http.paths[0].path: Invalid value: "a//b/..": cannot end with '/..'`,
			`spec.rules[0].http.paths[1].path: Invalid value: "a": must be an absolute path`,
			`spec.rules[0].http.paths[2].pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"`,
		}},
		"ports": {networkingv1.IngressSpec{DefaultBackend: ptr.To(web(70000)), Rules: []networkingv1.IngressRule{rule("", networkingv1.HTTPIngressPath{
			Path: "/", PathType: ptr.To(networkingv1.PathTypeExact), Backend: web(0),
		})}}, []string{
			"spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
			"spec.rules[0].http.paths[0].backend: Required value: port name or number is required",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, validateIngress(nil, &networkingv1.Ingress{Spec: test.spec}), test.want...)
		})
	}
	both := &networkingv1.Ingress{Spec: networkingv1.IngressSpec{DefaultBackend: ptr.To(web(1)), IngressClassName: ptr.To("new")}}
	both.Annotations = map[string]string{classAnnotation: "old"}
	expect(t, validateIngress(nil, both), `annotations.kubernetes.io/ingress.class: Invalid value: "old": can not be set when the class field is also set`)
	expect(t, validateIngressUpdate(nil, both, both))
}

func TestIngressClasses(t *testing.T) {
	t.Parallel()
	class := &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: "example.com/a"}}
	expect(t, validateIngressClass(nil, class))
	changed := class.DeepCopy()
	changed.Spec.Controller = "example.com/b"
	changed.Spec.Parameters = &networkingv1.IngressClassParametersReference{
		Scope: ptr.To(networkingv1.IngressClassParametersReferenceScopeCluster), Kind: "Settings", Namespace: ptr.To("here"),
	}
	expect(t, validateIngressClassUpdate(nil, changed, class),
		`spec.controller: Invalid value: "example.com/b": field is immutable`,
		"spec.parameters.name: Required value",
		"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'")
}

func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	block := func(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
	}
	both := block("10.0.0.0/8")
	both.PodSelector = &metav1.LabelSelector{}
	expect(t, validateNetworkPolicy(nil, &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{}, both, block(""), block("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16")}}},
		Egress: []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{
			{Protocol: ptr.To(corev1.Protocol("ICMP"))},
			{Port: ptr.To(intstr.FromInt32(90)), EndPort: ptr.To[int32](80)},
			{Port: ptr.To(intstr.FromString("http")), EndPort: ptr.To[int32](80)},
			{EndPort: ptr.To[int32](80)},
		}}},
		PolicyTypes: []networkingv1.PolicyType{"Sideways"},
	}}),
		"spec.ingress[0].from[0]: Required value: must specify a peer",
		"spec.ingress[0].from[1]: Forbidden: may not specify both ipBlock and another peer",
		"spec.ingress[0].from[2].ipBlock.cidr: Required value",
		"spec.ingress[0].from[3].ipBlock.except[1]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
		`spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"`,
		"spec.egress[0].ports[1].endPort: Invalid value: 90: must be greater than or equal to `port`",
		"spec.egress[0].ports[2].endPort: Invalid value: 80: may not be specified when `port` is non-numeric",
		"spec.egress[0].ports[3].endPort: Invalid value: 80: may not be specified when `port` is not specified",
		`spec.policyTypes[0]: Unsupported value: "Sideways": supported values: "Ingress", "Egress"`)
}

func TestServiceAddresses(t *testing.T) {
	t.Parallel()
	cidr := func(cidrs ...string) *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
	}
	expect(t, validateServiceCIDR(nil, cidr()), "spec.cidrs: Required value: at least one CIDR required")
	expect(t, validateServiceCIDR(nil, cidr("10.0.0.0/8", "11.0.0.0/8")),
		`spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e [10.0.0.0/8 11.0.0.0/8]`)
	expect(t, validateServiceCIDRUpdate(nil, cidr("10.0.0.0/8", "fd00::/112"), cidr("10.0.0.0/8")))
	expect(t, validateServiceCIDRUpdate(nil, cidr("11.0.0.0/8"), cidr("10.0.0.0/8")), `spec.cidrs[0]: Invalid value: "11.0.0.0/8": field is immutable`)
	expect(t, validateIPAddress(nil, &networkingv1.IPAddress{}), "spec.parentRef: Required value")
	expect(t, validateIPAddress(nil, &networkingv1.IPAddress{Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Resource: "services"}}}),
		"spec.parentRef.name: Required value")
	if got := strings.Join(addressName("fd00:0::1", false), ""); got != "must be a canonical format IP address" {
		t.Error(got)
	}
}

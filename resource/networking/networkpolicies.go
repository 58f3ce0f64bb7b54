package networking

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// NetworkPolicies is all that the server knows about NetworkPolicies.
func NetworkPolicies() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.NetworkPolicy]{
		Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", Plural: "networkpolicies",
		Short: []string{"netpol"}, Scope: resource.Namespaced,
		Generation: true,
		Validate:   validateNetworkPolicy, ValidateUpdate: validateNetworkPolicyUpdate,
		Default: defaultNetworkPolicy,
		Columns: []resource.Column[*networkingv1.NetworkPolicy]{
			resource.Name[*networkingv1.NetworkPolicy](),
			resource.Text("Pod-Selector", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"],
				func(p *networkingv1.NetworkPolicy) string { return metav1.FormatLabelSelector(&p.Spec.PodSelector) }),
			resource.Age[*networkingv1.NetworkPolicy](),
		},
	})
}

// defaultNetworkPolicy: a policy is about ingress, and about egress if it has rules for that.
func defaultNetworkPolicy(policy *networkingv1.NetworkPolicy) {
	spec := &policy.Spec
	for i := range spec.Ingress {
		defaultPorts(spec.Ingress[i].Ports)
	}
	for i := range spec.Egress {
		defaultPorts(spec.Egress[i].Ports)
	}
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
}

func defaultPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		if ports[i].Protocol == nil {
			ports[i].Protocol = ptr.To(corev1.ProtocolTCP)
		}
	}
}

package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// classAnnotation is how an ingress named its class before it had a field for it.
const classAnnotation = "kubernetes.io/ingress.class"

// Ingresses is all that the server knows about Ingresses.
func Ingresses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.Ingress]{
		Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Plural: "ingresses",
		Short: []string{"ing"}, Scope: resource.Namespaced,
		StorageKey: "ingress",
		Generation: true,
		Validate:   validateIngress, ValidateUpdate: validateIngressUpdate,
		Views: []resource.View[*networkingv1.Ingress]{{
			Name:     "status",
			Prepare:  func(_ *resource.Request, obj, old *networkingv1.Ingress) { obj.Spec = old.Spec },
			Validate: validateIngressStatus,
		}},
		Columns: []resource.Column[*networkingv1.Ingress]{
			resource.Name[*networkingv1.Ingress](),
			resource.Text("Class", "The name of the IngressClass resource that should be used for additional configuration", ingressClass),
			resource.Text("Hosts", "Hosts that incoming requests are matched against before the ingress rule", ingressHosts),
			resource.Text("Address", "Address is a list containing ingress points for the load-balancer", ingressAddress),
			resource.Text("Ports", "Ports of TLS configurations that open", ingressPorts),
			resource.Age[*networkingv1.Ingress](),
		},
	})
}

func ingressClass(ingress *networkingv1.Ingress) string {
	if name, ok := ingress.Annotations[classAnnotation]; ok && ingress.Spec.IngressClassName == nil {
		return name
	}
	return ptr.Deref(ingress.Spec.IngressClassName, "<none>")
}

// shownHosts is how many hosts fit into a column.
const shownHosts = 3

func ingressHosts(ingress *networkingv1.Ingress) string {
	var hosts []string
	more := 0
	for _, rule := range ingress.Spec.Rules {
		switch {
		case rule.Host == "":
		case len(hosts) < shownHosts:
			hosts = append(hosts, rule.Host)
		default:
			more++
		}
	}
	if len(hosts) == 0 {
		return "*"
	}
	return strings.Join(hosts, ",") + andMore(more)
}

func ingressAddress(ingress *networkingv1.Ingress) string {
	var addresses []string
	for _, point := range ingress.Status.LoadBalancer.Ingress {
		if point.IP != "" {
			addresses = append(addresses, point.IP)
		} else if point.Hostname != "" {
			addresses = append(addresses, point.Hostname)
		}
	}
	return strings.Join(addresses, ",")
}

func ingressPorts(ingress *networkingv1.Ingress) string {
	if len(ingress.Spec.TLS) > 0 {
		return "80, 443"
	}
	return "80"
}

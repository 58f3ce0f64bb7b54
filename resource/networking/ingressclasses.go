package networking

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/resource"
)

// IngressClasses is all that the server knows about IngressClasses.
func IngressClasses() *resource.Kind {
	return resource.Define(resource.Definition[*networkingv1.IngressClass]{
		Group: "networking.k8s.io", Version: "v1", Kind: "IngressClass", Plural: "ingressclasses",
		Scope:      resource.Cluster,
		Generation: true,
		Validate:   validateIngressClass, ValidateUpdate: validateIngressClassUpdate,
		Default: func(c *networkingv1.IngressClass) {
			if c.Spec.Parameters != nil && c.Spec.Parameters.Scope == nil {
				c.Spec.Parameters.Scope = ptr.To(networkingv1.IngressClassParametersReferenceScopeCluster)
			}
		},
		Columns: []resource.Column[*networkingv1.IngressClass]{
			resource.Name[*networkingv1.IngressClass](),
			resource.Text("Controller", "Controller that is responsible for handling this class",
				func(c *networkingv1.IngressClass) string { return c.Spec.Controller }),
			resource.Text("Parameters", "A reference to a resource with additional parameters", parameters),
			resource.Age[*networkingv1.IngressClass](),
		},
	})
}

func parameters(class *networkingv1.IngressClass) string {
	p := class.Spec.Parameters
	if p == nil {
		return "<none>"
	}
	kind := p.Kind
	if p.APIGroup != nil {
		kind += "." + *p.APIGroup
	}
	return fmt.Sprintf("%s/%s", kind, p.Name)
}

package networking

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

func validateNetworkPolicyUpdate(r *resource.Request, policy, _ *networkingv1.NetworkPolicy) field.ErrorList {
	return validateNetworkPolicy(r, policy)
}

func validateNetworkPolicy(_ *resource.Request, policy *networkingv1.NetworkPolicy) field.ErrorList {
	spec := &policy.Spec
	errs := core.LabelSelector(&spec.PodSelector, specPath.Child("podSelector"))
	for i, rule := range spec.Ingress {
		at := specPath.Child("ingress").Index(i)
		errs = append(errs, policyPorts(rule.Ports, at.Child("ports"))...)
		errs = append(errs, policyPeers(rule.From, at.Child("from"))...)
	}
	for i, rule := range spec.Egress {
		at := specPath.Child("egress").Index(i)
		errs = append(errs, policyPorts(rule.Ports, at.Child("ports"))...)
		errs = append(errs, policyPeers(rule.To, at.Child("to"))...)
	}
	at := specPath.Child("policyTypes")
	if len(spec.PolicyTypes) > 2 {
		return append(errs, field.Invalid(at, &spec.PolicyTypes, "may not specify more than two policyTypes"))
	}
	for i := range spec.PolicyTypes {
		errs = append(errs, core.OneOfIfSet(&spec.PolicyTypes[i], at.Index(i), networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)...)
	}
	return errs
}

func policyPorts(ports []networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range ports {
		errs = append(errs, policyPort(&ports[i], at.Index(i))...)
	}
	return errs
}

func policyPort(p *networkingv1.NetworkPolicyPort, at *field.Path) field.ErrorList {
	errs := core.OneOfIfSet(p.Protocol, at.Child("protocol"), corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	end := at.Child("endPort")
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
		}
	case p.Port.Type == intstr.Int:
		errs = append(errs, core.InvalidEach(at.Child("port"), p.Port.IntVal, validation.IsValidPortNum(int(p.Port.IntVal)))...)
		if p.EndPort != nil {
			if *p.EndPort < p.Port.IntVal {
				errs = append(errs, field.Invalid(end, p.Port.IntVal, "must be greater than or equal to `port`"))
			}
			errs = append(errs, core.InvalidEach(end, *p.EndPort, validation.IsValidPortNum(int(*p.EndPort)))...)
		}
	default:
		if p.EndPort != nil {
			errs = append(errs, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		errs = append(errs, core.InvalidEach(at.Child("port"), p.Port.StrVal, validation.IsValidPortName(p.Port.StrVal))...)
	}
	return errs
}

func policyPeers(peers []networkingv1.NetworkPolicyPeer, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range peers {
		peer, at := &peers[i], path.Index(i)
		selects := peer.PodSelector != nil || peer.NamespaceSelector != nil
		errs = append(errs, core.LabelSelector(peer.PodSelector, at.Child("podSelector"))...)
		errs = append(errs, core.LabelSelector(peer.NamespaceSelector, at.Child("namespaceSelector"))...)
		if peer.IPBlock != nil {
			errs = append(errs, ipBlock(peer.IPBlock, at.Child("ipBlock"))...)
		}
		switch {
		case !selects && peer.IPBlock == nil:
			errs = append(errs, field.Required(at, "must specify a peer"))
		case selects && peer.IPBlock != nil:
			errs = append(errs, field.Forbidden(at, "may not specify both ipBlock and another peer"))
		}
	}
	return errs
}

func ipBlock(block *networkingv1.IPBlock, path *field.Path) field.ErrorList {
	if block.CIDR == "" {
		return field.ErrorList{field.Required(path.Child("cidr"), "")}
	}
	errs := validation.IsValidCIDRForLegacyField(path.Child("cidr"), block.CIDR, false, nil)
	_, all, err := netutils.ParseCIDRSloppy(block.CIDR)
	if err != nil {
		return errs
	}
	size, _ := all.Mask.Size()
	for i, text := range block.Except {
		at := path.Child("except").Index(i)
		errs = append(errs, validation.IsValidCIDRForLegacyField(at, text, false, nil)...)
		_, except, err := netutils.ParseCIDRSloppy(text)
		if err != nil {
			continue // said already
		}
		if part, _ := except.Mask.Size(); !all.Contains(except.IP) || size >= part {
			errs = append(errs, field.Invalid(at, text, "must be a strict subset of `cidr`"))
		}
	}
	return errs
}

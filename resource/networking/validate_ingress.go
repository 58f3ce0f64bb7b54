package networking

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/core"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

// validateIngress refuses two names of a class only here: old objects may still have both.
func validateIngress(_ *resource.Request, ingress *networkingv1.Ingress) field.ErrorList {
	errs := ingressSpec(&ingress.Spec)
	if name, ok := ingress.Annotations[classAnnotation]; ok && ingress.Spec.IngressClassName != nil {
		errs = append(errs, field.Invalid(field.NewPath("annotations").Child(classAnnotation), name,
			"can not be set when the class field is also set"))
	}
	return errs
}

func validateIngressUpdate(_ *resource.Request, ingress, _ *networkingv1.Ingress) field.ErrorList {
	return ingressSpec(&ingress.Spec)
}

func ingressSpec(spec *networkingv1.IngressSpec) field.ErrorList {
	var errs field.ErrorList
	if len(spec.Rules) == 0 && spec.DefaultBackend == nil {
		errs = append(errs, field.Invalid(specPath, spec.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if spec.DefaultBackend != nil {
		errs = append(errs, backend(spec.DefaultBackend, specPath.Child("defaultBackend"))...)
	}
	errs = append(errs, ingressRules(spec.Rules, specPath.Child("rules"))...)
	errs = append(errs, ingressTLS(spec.TLS, specPath.Child("tls"))...)
	if name := spec.IngressClassName; name != nil {
		errs = append(errs, core.InvalidEach(specPath.Child("ingressClassName"), *name, apivalidation.NameIsDNSSubdomain(*name, false))...)
	}
	return errs
}

func ingressTLS(list []networkingv1.IngressTLS, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, tls := range list {
		for j, host := range tls.Hosts {
			errs = append(errs, ingressHost(host, at.Index(i).Child("hosts").Index(j))...)
		}
		if name := tls.SecretName; name != "" {
			errs = append(errs, core.InvalidEach(at.Index(i).Child("secretName"), name, apivalidation.NameIsDNSSubdomain(name, false))...)
		}
	}
	return errs
}

func ingressHost(host string, at *field.Path) field.ErrorList {
	if strings.Contains(host, "*") {
		return core.InvalidEach(at, host, validation.IsWildcardDNS1123Subdomain(host))
	}
	return core.DNSSubdomain(host, at)
}

// ingressRules reports what is wrong with paths below the first rule, whichever rule it is, as clients of upstream see it.
func ingressRules(rules []networkingv1.IngressRule, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range rules {
		if host := rules[i].Host; host != "" {
			if netutils.ParseIPSloppy(host) != nil {
				errs = append(errs, field.Invalid(at.Index(i).Child("host"), host, "must be a DNS name, not an IP address"))
			}
			errs = append(errs, ingressHost(host, at.Index(i).Child("host"))...)
		}
		if http := rules[i].HTTP; http != nil {
			errs = append(errs, ingressPaths(http.Paths, at.Index(0).Child("http", "paths"))...)
		}
	}
	return errs
}

func ingressPaths(paths []networkingv1.HTTPIngressPath, at *field.Path) field.ErrorList {
	if len(paths) == 0 {
		return field.ErrorList{field.Required(at, "")}
	}
	var errs field.ErrorList
	for i := range paths {
		errs = append(errs, ingressPath(&paths[i], at.Index(i))...)
	}
	return errs
}

// Parts that a URL path cannot have, since proxies would understand them in different ways.
var (
	badParts = []string{"//", "/./", "/../", "%2f", "%2F"}
	badEnds  = []string{"/..", "/."}
)

func ingressPath(p *networkingv1.HTTPIngressPath, at *field.Path) field.ErrorList {
	if p.PathType == nil {
		return field.ErrorList{field.Required(at.Child("pathType"), "pathType must be specified")}
	}
	var errs field.ErrorList
	wrong := func(detail string) { errs = append(errs, field.Invalid(at.Child("path"), p.Path, detail)) }
	absolute := strings.HasPrefix(p.Path, "/")
	switch *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !absolute {
			wrong("must be an absolute path")
		}
		for _, part := range badParts {
			if strings.Contains(p.Path, part) {
				wrong(fmt.Sprintf("must not contain '%s'", part))
			}
		}
		for _, end := range badEnds {
			if strings.HasSuffix(p.Path, end) {
				wrong(fmt.Sprintf("cannot end with '%s'", end))
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !absolute {
			wrong("must be an absolute path")
		}
	default:
		errs = append(errs, field.NotSupported(at.Child("pathType"), *p.PathType, []networkingv1.PathType{
			networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix,
		}))
	}
	return append(errs, backend(&p.Backend, at.Child("backend"))...)
}

func backend(b *networkingv1.IngressBackend, at *field.Path) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(at, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return reference(b.Resource.APIGroup, b.Resource.Kind, b.Resource.Name, at.Child("resource"))
	case b.Service != nil:
		return serviceBackend(b.Service, at)
	}
	return field.ErrorList{field.Invalid(at, "", "resource or service backend is required")}
}

func serviceBackend(s *networkingv1.IngressServiceBackend, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("service", "name"), ""))
	} else {
		errs = append(errs, core.InvalidEach(at.Child("service", "name"), s.Name, apivalidation.NameIsDNSLabel(s.Name, false))...)
	}
	port, portPath := s.Port, at.Child("service", "port")
	switch {
	case port.Name != "" && port.Number != 0:
		errs = append(errs, field.Invalid(at, "", "cannot set both port name & port number"))
	case port.Name != "":
		errs = append(errs, core.InvalidEach(portPath.Child("name"), port.Name, validation.IsValidPortName(port.Name))...)
	case port.Number != 0:
		errs = append(errs, core.InvalidEach(portPath.Child("number"), port.Number, validation.IsValidPortNum(int(port.Number)))...)
	default:
		errs = append(errs, field.Required(at, "port name or number is required"))
	}
	return errs
}

// reference checks that an object is named by group, kind and name.
func reference(group *string, kind, name string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if group != nil {
		errs = append(errs, core.DNSSubdomain(*group, at.Child("apiGroup"))...)
	}
	errs = append(errs, segment(kind, at.Child("kind"))...)
	return append(errs, segment(name, at.Child("name"))...)
}

// segment demands a text that can be a part of a URL path.
func segment(value string, at *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return core.InvalidEach(at, value, path.IsValidPathSegmentName(value))
}

func validateIngressStatus(_ *resource.Request, ingress, _ *networkingv1.Ingress) field.ErrorList {
	var errs field.ErrorList
	for i, point := range ingress.Status.LoadBalancer.Ingress {
		at := statusPath.Child("loadBalancer", "ingress").Index(i)
		if point.IP != "" {
			errs = append(errs, core.LegacyIP(point.IP, at.Child("ip"))...)
		}
		errs = append(errs, core.LoadBalancerHost(point.Hostname, at.Child("hostname"))...)
	}
	return errs
}

package spec

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// ServiceEnv returns the variables by which a pod's containers find Services
// without DNS: NAME_SERVICE_HOST, NAME_SERVICE_PORT[_PORTNAME] and Docker's link
// variables, for the "kubernetes" Service and, if the pod's enableServiceLinks
// is not false, for all Services of its namespace. services may hold those of
// other namespaces too.
func ServiceEnv(pod *v1.Pod, services []*v1.Service) map[string]string {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	env := map[string]string{}
	var own []*v1.Service
	for _, s := range services {
		switch {
		case s.Spec.ClusterIP == "" || s.Spec.ClusterIP == v1.ClusterIPNone || s.Spec.Type == v1.ServiceTypeExternalName:
		case s.Namespace == pod.Namespace && links:
			own = append(own, s)
		case s.Namespace == metav1Default && s.Name == "kubernetes":
			addService(env, s)
		}
	}
	// A Service of the pod's own namespace wins over the cluster's.
	for _, s := range own {
		addService(env, s)
	}
	return env
}

const metav1Default = "default"

func addService(env map[string]string, s *v1.Service) {
	name := envName(s.Name)
	host := s.Spec.ClusterIP
	if len(s.Spec.Ports) == 0 {
		return
	}
	first := s.Spec.Ports[0]
	env[name+"_SERVICE_HOST"] = host
	env[name+"_SERVICE_PORT"] = strconv.Itoa(int(first.Port))
	env[name+"_PORT"] = link(first, host)
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			env[name+"_SERVICE_PORT_"+envName(p.Name)] = strconv.Itoa(int(p.Port))
		}
		protocol := protocolOf(p)
		prefix := fmt.Sprintf("%s_PORT_%d_%s", name, p.Port, protocol)
		env[prefix] = link(p, host)
		env[prefix+"_PROTO"] = strings.ToLower(protocol)
		env[prefix+"_PORT"] = strconv.Itoa(int(p.Port))
		env[prefix+"_ADDR"] = host
	}
}

func protocolOf(p v1.ServicePort) string {
	if p.Protocol == "" {
		return string(v1.ProtocolTCP)
	}
	return string(p.Protocol)
}

func link(p v1.ServicePort, host string) string {
	return strings.ToLower(protocolOf(p)) + "://" + net.JoinHostPort(host, strconv.Itoa(int(p.Port)))
}

func envName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

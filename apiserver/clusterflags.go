package apiserver

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// clusterFlags are those about what the cluster allows and how its members find each other.
type clusterFlags struct {
	privileged      bool
	reconciler      string
	serviceNodePort int
	kubeletPort     uint
}

func (f *clusterFlags) add(flags *pflag.FlagSet) {
	flags.BoolVar(&f.privileged, "allow-privileged", false, "let containers be privileged")
	flags.StringVar(&f.reconciler, "endpoint-reconciler-type", "lease", "who keeps the endpoints of the kubernetes Service: this server, for all servers on its etcd (lease, master-count), or nobody (none)")
	flags.IntVar(&f.serviceNodePort, "kubernetes-service-node-port", 0, "node port of the kubernetes Service, where that is not there yet; 0: it has a cluster IP only")
	flags.UintVar(&f.kubeletPort, "kubelet-port", 10250, "port of kubelets that do not tell theirs")
	deprecate(flags, "kubelet-port", "kubelet-port is deprecated and will be removed.")
}

// check is every error of the values, each naming its flag. nodePorts is where node ports come from.
func (f *clusterFlags) check(nodePorts string) error {
	var errs []error
	switch f.reconciler {
	case "lease", "master-count", "none":
	default:
		errs = append(errs, fmt.Errorf("--endpoint-reconciler-type: %q must be lease, master-count or none", f.reconciler))
	}
	if f.kubeletPort < 1 || f.kubeletPort > 65535 {
		errs = append(errs, fmt.Errorf("--kubelet-port %d must be between 1 and 65535, inclusive", f.kubeletPort))
	}
	switch ports, err := utilnet.ParsePortRange(nodePorts); {
	case f.serviceNodePort == 0:
	case f.serviceNodePort < 0 || f.serviceNodePort > 65535:
		errs = append(errs, fmt.Errorf("--kubernetes-service-node-port %d must be between 0 and 65535, inclusive."+
			" If 0, the Kubernetes master service will be of type ClusterIP", f.serviceNodePort))
	case err == nil && !ports.Contains(f.serviceNodePort):
		errs = append(errs, fmt.Errorf("--kubernetes-service-node-port: kubernetes service node port range %v doesn't contain %d", ports, f.serviceNodePort))
	}
	return errors.Join(errs...)
}

// apply puts the flags into a server's settings.
func (f *clusterFlags) apply(standard *Standard) {
	standard.NoEndpoints, standard.ServiceNodePort = f.reconciler == "none", int32(f.serviceNodePort)
	standard.KubeletPort = int(f.kubeletPort)
}

package controllers

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/gates"
)

// options is the command line of the kube-controller-manager, before anything is read or connected.
type options struct {
	config                          Config
	kubeconfig, master              string
	useAccounts                     bool
	workers                         map[string]*int // by controller name
	elect                           bool
	electLease, electDeadline       time.Duration
	electRetry                      time.Duration
	electNamespace, electName       string
	clusterCIDR, serviceCIDR        string
	maskSize                        int
	unhealthyThreshold              float32
	evictionRate, secondaryEviction float32
	dynamicProvisioning, collect    *bool
	serve                           daemon.SecurePort
	gates                           gates.Flags
	ignored                         ignored
}

// ignored holds the values of flags that upstream has and that have no effect here; command.go says why.
type ignored struct {
	text     string
	texts    []string
	flag     bool
	number   int
	fraction float32
	duration time.Duration
}

// signers are the signers that can have an authority of their own, by the flag that names it.
var signers = map[string]string{
	"kubelet-serving":       certificatesv1.KubeletServingSignerName,
	"kubelet-client":        certificatesv1.KubeAPIServerClientKubeletSignerName,
	"kube-apiserver-client": certificatesv1.KubeAPIServerClientSignerName,
	"legacy-unknown":        "kubernetes.io/legacy-unknown",
}

// add declares all flags under upstream's names and with upstream's defaults.
func (o *options) add(flags *pflag.FlagSet) {
	c := &o.config
	o.gates.AddFlags(flags)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig with the API server's address and this component's credentials")
	flags.StringVar(&o.master, "master", "", "address of the API server, instead of the kubeconfig's")
	flags.BoolVar(&o.useAccounts, "use-service-account-credentials", false, "let each controller work under a service account of its own")
	flags.StringSliceVar(&c.Controllers, "controllers", []string{"*"},
		"controllers to run: names, '*' for all that are on by default, '-name' for not that one. There are: "+strings.Join(Names(), ", "))
	o.workers = map[string]*int{}
	shared := map[string]*int{} // flags that several controllers share
	for _, entry := range all {
		if entry.Flag == "" {
			continue
		}
		if shared[entry.Flag] == nil {
			shared[entry.Flag] = flags.Int(entry.Flag, entry.Workers, "how many objects the "+entry.Name+" works on at the same time")
		}
		o.workers[entry.Name] = shared[entry.Flag]
	}
	o.addElection(flags)
	o.addIdentity(flags)
	o.addNodes(flags)
	o.addRest(flags)
	o.serve.Component, o.serve.Port = component, 10257
	o.serve.AddFlags(flags)
	o.addIgnored(flags)
}

func (o *options) addElection(flags *pflag.FlagSet) {
	flags.BoolVar(&o.elect, "leader-elect", true, "run the controllers only while holding a Lease")
	flags.DurationVar(&o.electLease, "leader-elect-lease-duration", 15*time.Second, "how long others wait after the leader's last sign of life")
	flags.DurationVar(&o.electDeadline, "leader-elect-renew-deadline", 10*time.Second, "how long the leader tries to renew before it stops")
	flags.DurationVar(&o.electRetry, "leader-elect-retry-period", 2*time.Second, "pause between tries to get or renew the lease")
	flags.StringVar(&o.electNamespace, "leader-elect-resource-namespace", "kube-system", "namespace of the Lease")
	flags.StringVar(&o.electName, "leader-elect-resource-name", component, "name of the Lease")
}

func (o *options) addIdentity(flags *pflag.FlagSet) {
	c := &o.config
	flags.StringVar(&c.RootCAFile, "root-ca-file", "", "CA bundle that is given to Pods to verify the API server with")
	flags.StringVar(&c.ServiceAccountKeyFile, "service-account-private-key-file", "", "private key (PEM) that signs service account tokens")
	flags.DurationVar(&c.LegacyTokenCleanUp, "legacy-service-account-token-clean-up-period", 8760*time.Hour, "how long an unused token Secret lives")
	flags.StringVar(&c.Signing.CertFile, "cluster-signing-cert-file", "", "CA certificate (PEM) that signs certificate requests")
	flags.StringVar(&c.Signing.KeyFile, "cluster-signing-key-file", "", "private key (PEM) of that CA")
	flags.DurationVar(&c.Signing.Duration, "cluster-signing-duration", 8760*time.Hour, "longest validity of a signed certificate")
	c.Signing.Signers = map[string]KeyPair{}
	for flag, signer := range signers {
		set := func(edit func(*KeyPair, string)) func(string) error {
			return func(value string) error {
				pair := c.Signing.Signers[signer]
				edit(&pair, value)
				c.Signing.Signers[signer] = pair
				return nil
			}
		}
		flags.Func("cluster-signing-"+flag+"-cert-file", "CA certificate for the signer "+signer+" alone", set(func(p *KeyPair, v string) { p.CertFile = v }))
		flags.Func("cluster-signing-"+flag+"-key-file", "private key of the CA for the signer "+signer+" alone", set(func(p *KeyPair, v string) { p.KeyFile = v }))
	}
}

func (o *options) addNodes(flags *pflag.FlagSet) {
	n := &o.config.Nodes
	flags.BoolVar(&n.AllocateCIDRs, "allocate-node-cidrs", false, "give each node a range of Pod addresses")
	flags.StringVar(&o.clusterCIDR, "cluster-cidr", "", "range of Pod addresses in the cluster; two, by comma, for dual stack")
	flags.StringVar(&o.serviceCIDR, "service-cluster-ip-range", "", "range of Service addresses in the cluster; two, by comma, for dual stack")
	flags.IntVar(&o.maskSize, "node-cidr-mask-size", 0, "size of a node's range in a single stack cluster (24 for IPv4, 64 for IPv6)")
	flags.IntVar(&n.MaskSizeIPv4, "node-cidr-mask-size-ipv4", 0, "size of a node's IPv4 range in a dual stack cluster (24)")
	flags.IntVar(&n.MaskSizeIPv6, "node-cidr-mask-size-ipv6", 0, "size of a node's IPv6 range in a dual stack cluster (64)")
	flags.DurationVar(&n.MonitorGracePeriod, "node-monitor-grace-period", 50*time.Second, "how long a node may be silent before it counts as unhealthy")
	flags.DurationVar(&n.StartupGracePeriod, "node-startup-grace-period", time.Minute, "how long a new node may be silent")
	flags.Float32Var(&o.evictionRate, "node-eviction-rate", 0.1, "nodes per second whose Pods are evicted in a healthy zone")
	flags.Float32Var(&o.secondaryEviction, "secondary-node-eviction-rate", 0.01, "the same in an unhealthy zone")
	flags.Float32Var(&o.unhealthyThreshold, "unhealthy-zone-threshold", 0.55, "fraction of unhealthy nodes that makes a zone unhealthy")
	flags.IntVar(&n.LargeClusterSize, "large-cluster-size-threshold", 50, "up to how many nodes a zone is small: unhealthy, it evicts nothing")
}

func (o *options) addRest(flags *pflag.FlagSet) {
	c := &o.config
	flags.StringVar(&c.ClusterName, "cluster-name", "kubernetes", "name of the cluster")
	flags.IntVar(&c.TerminatedPodThreshold, "terminated-pod-gc-threshold", 12500, "how many ended Pods may exist; 0 or less is any number")
	flags.IntVar(&c.Endpoints.MaxPerSlice, "max-endpoints-per-slice", 100, "most endpoints in an EndpointSlice")
	flags.IntVar(&c.Endpoints.MaxPerMirroredSubset, "mirroring-max-endpoints-per-subset", 1000, "most endpoints mirrored from an Endpoints subset")
	flags.DurationVar(&c.Endpoints.BatchPeriod, "endpointslice-updates-batch-period", 0, "how long Pod changes are collected before slices are written")
	flags.DurationVar(&c.Endpoints.ObjectBatchPeriod, "endpoint-updates-batch-period", 0, "how long Pod changes are collected before Endpoints are written")
	flags.DurationVar(&c.Endpoints.MirrorBatchPeriod, "mirroring-endpointslice-updates-batch-period", 0, "how long changes of Endpoints are collected before they are mirrored")
	flags.DurationVar(&c.HPA.SyncPeriod, "horizontal-pod-autoscaler-sync-period", 15*time.Second, "how often the autoscaler looks at metrics")
	flags.Float64Var(&c.HPA.Tolerance, "horizontal-pod-autoscaler-tolerance", 0.1, "change of a metric's ratio from 1 that is ignored")
	flags.DurationVar(&c.HPA.DownscaleStabilization, "horizontal-pod-autoscaler-downscale-stabilization", 5*time.Minute, "how long the highest recommendation holds")
	flags.DurationVar(&c.HPA.CPUInitializationPeriod, "horizontal-pod-autoscaler-cpu-initialization-period", 5*time.Minute, "how long the CPU of a starting Pod may be left out")
	flags.DurationVar(&c.HPA.InitialReadinessDelay, "horizontal-pod-autoscaler-initial-readiness-delay", 30*time.Second, "how long unreadiness counts as the first start")
	dynamic := flags.Bool("enable-dynamic-provisioning", true, "let built-in provisioners make volumes")
	flags.BoolVar(&c.Volumes.HostPathProvisioner, "enable-hostpath-provisioner", false, "let volumes be made on the host's disk; for tests")
	flags.DurationVar(&c.Volumes.AttachReconcileMaxWait, "attach-detach-reconcile-max-wait-unmount-duration", 6*time.Minute, "how long an unmount is waited for before a forced detach")
	o.dynamicProvisioning = dynamic
	o.collect = flags.Bool("enable-garbage-collector", true, "delete what no owner wants any more")
}

// finish turns what flags could not set directly into the Config.
func (o *options) finish() error {
	if err := o.gates.Check(); err != nil {
		return err
	}
	c := &o.config
	if err := checkSelection(c.Controllers); err != nil {
		return err
	}
	c.Workers = map[string]int{}
	for name, n := range o.workers {
		if *n <= 0 {
			return fmt.Errorf("--%s must be positive", flagOf(name))
		}
		c.Workers[name] = *n
	}
	c.Nodes.ClusterCIDRs, c.Nodes.ServiceCIDRs = split(o.clusterCIDR), split(o.serviceCIDR)
	if !*o.collect {
		c.Controllers = append([]string{"-garbage-collector-controller"}, c.Controllers...)
	}
	if o.maskSize != 0 {
		if len(c.Nodes.ClusterCIDRs) > 1 {
			return fmt.Errorf("--node-cidr-mask-size is for one cluster CIDR; with two, set --node-cidr-mask-size-ipv4 and -ipv6")
		}
		c.Nodes.MaskSizeIPv4, c.Nodes.MaskSizeIPv6 = o.maskSize, o.maskSize
	}
	if c.Nodes.AllocateCIDRs && len(c.Nodes.ClusterCIDRs) == 0 {
		return fmt.Errorf("--allocate-node-cidrs needs --cluster-cidr")
	}
	c.Nodes.EvictionRate, c.Nodes.SecondaryEvictionRate = float64(o.evictionRate), float64(o.secondaryEviction)
	c.Nodes.UnhealthyZoneThreshold = float64(o.unhealthyThreshold)
	c.Volumes.NoDynamicProvisioning = !*o.dynamicProvisioning
	if c.TerminatedPodThreshold == 0 {
		c.TerminatedPodThreshold = -1 // on the command line 0 means no limit; in a Config it means the default
	}
	for signer, pair := range c.Signing.Signers {
		if (pair.CertFile == "") != (pair.KeyFile == "") {
			return fmt.Errorf("signer %s needs both a certificate and a key", signer)
		}
	}
	if (c.Signing.CertFile == "") != (c.Signing.KeyFile == "") {
		return fmt.Errorf("--cluster-signing-cert-file and --cluster-signing-key-file go together")
	}
	if o.electNamespace == "" {
		o.electNamespace = corev1.NamespaceDefault
	}
	return nil
}

func flagOf(name string) string {
	for _, e := range all {
		if e.Name == name {
			return e.Flag
		}
	}
	return name
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

package cloud

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cloudprovider "k8s.io/cloud-provider"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cloud/local"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// options is the command line.
type options struct {
	config                    Config
	kubeconfig, master        string
	provider, cloudConfig     string
	balancers                 string
	elect                     bool
	electLease, electDeadline time.Duration
	electRetry                time.Duration
	electNamespace, electName string
	serve                     daemon.SecurePort
	gates                     gates.Flags
	ignoredText               string
	ignoredTexts              []string
	ignoredFlag               bool
	ignoredDuration           time.Duration
}

// Command returns the command cloud-controller-manager: this component alone, against any API server, with upstream's flags.
func Command() *cobra.Command {
	o := &options{serve: daemon.SecurePort{Component: component, Port: 10258}}
	return daemon.Component(component, "Connect a cluster with what provides its machines", o.add, o.run)
}

func (o *options) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig with the API server's address and this component's credentials")
	flags.StringVar(&o.master, "master", "", "address of the API server, instead of the kubeconfig's")
	flags.StringVar(&o.provider, "cloud-provider", local.Name, "provider: local, or the name of one that is linked in")
	flags.StringVar(&o.cloudConfig, "cloud-config", "", "the provider's configuration file")
	flags.StringVar(&o.balancers, "load-balancer-cidr", "", "range of load balancers' addresses, for the provider local")
	flags.StringVar(&o.config.ClusterName, "cluster-name", "kubernetes", "name of the cluster")
	flags.IntVar(&o.config.Workers, "concurrent-service-syncs", 1, "how many Services are worked on at the same time")
	flags.BoolVar(&o.elect, "leader-elect", true, "run the controllers only while holding a Lease")
	flags.DurationVar(&o.electLease, "leader-elect-lease-duration", 15*time.Second, "how long others wait after the leader's last sign of life")
	flags.DurationVar(&o.electDeadline, "leader-elect-renew-deadline", 10*time.Second, "how long the leader tries to renew before it stops")
	flags.DurationVar(&o.electRetry, "leader-elect-retry-period", 2*time.Second, "pause between tries to get or renew the lease")
	flags.StringVar(&o.electNamespace, "leader-elect-resource-namespace", "kube-system", "namespace of the Lease")
	flags.StringVar(&o.electName, "leader-elect-resource-name", component, "name of the Lease")
	o.serve.AddFlags(flags)
	o.gates.AddFlags(flags)
	const no = "accepted for compatibility, without effect"
	for _, name := range []string{"cluster-cidr", "cidr-allocator-type", "leader-elect-resource-lock", "kube-api-content-type", "kube-api-qps", "kube-api-burst"} {
		flags.StringVar(&o.ignoredText, name, "", no)
		flags.Lookup(name).NoOptDefVal = "true"
	}
	flags.StringSliceVar(&o.ignoredTexts, "controllers", []string{"*"}, no)
	for _, name := range []string{"allocate-node-cidrs", "configure-cloud-routes", "use-service-account-credentials", "allow-untagged-cloud"} {
		flags.BoolVar(&o.ignoredFlag, name, false, no)
	}
	for _, name := range []string{"route-reconciliation-period", "node-monitor-period", "node-status-update-frequency", "min-resync-period", "controller-start-interval"} {
		flags.DurationVar(&o.ignoredDuration, name, 0, no)
	}
}

func (o *options) run(ctx context.Context) error {
	if err := o.gates.Check(); err != nil {
		return daemon.UsageError("%v", err)
	}
	provider, err := o.open()
	if err != nil {
		return err
	}
	listener, err := o.serve.Listen()
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	set, err := client.FromKubeconfig(o.kubeconfig, o.master, daemon.UserAgent(component))
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	config := o.config
	config.Clients, config.Provider, config.Metrics, config.Journal = set, provider, registry, journal.New(0)
	if o.elect {
		if config.Election, err = o.election(set); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	if listener == nil {
		served <- nil
	} else {
		go func() {
			served <- o.serve.Serve(ctx, listener, set, daemon.Mux(&daemon.Health{}, registry))
			cancel() // a port that cannot be served is a reason to end, and to be restarted
		}()
	}
	err = Run(ctx, config)
	cancel()
	if broken := <-served; err == nil {
		err = broken
	}
	return err
}

// open returns the provider that the flags name.
func (o *options) open() (cloudprovider.Interface, error) {
	if o.provider != local.Name {
		provider, err := cloudprovider.InitCloudProvider(o.provider, o.cloudConfig)
		if err != nil {
			return nil, err
		}
		if provider == nil {
			return nil, daemon.UsageError("--cloud-provider must not be empty")
		}
		return provider, nil
	}
	provider := &local.Provider{}
	if o.balancers != "" {
		prefix, err := netip.ParsePrefix(o.balancers)
		if err != nil {
			return nil, daemon.UsageError("--load-balancer-cidr: %v", err)
		}
		provider.Range = prefix
	}
	return provider, nil
}

func (o *options) election(set *client.Set) (*reconcile.Election, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("hostname: %w", err)
	}
	return &reconcile.Election{
		Client: set, Namespace: o.electNamespace, Name: o.electName, Identity: host + "_" + uuid.NewString(),
		LeaseDuration: o.electLease, RenewDeadline: o.electDeadline, RetryPeriod: o.electRetry,
	}, nil
}

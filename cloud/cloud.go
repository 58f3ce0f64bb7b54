// Package cloud is the cloud-controller-manager: what has to be told to, or asked of, the machine's provider. It initializes
// Nodes, removes those whose machine is gone, and gives Services of type LoadBalancer an address. The provider is any implementation
// of cloudprovider.Interface; the built-in one, local, is for machines that nobody provides.
package cloud

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/cloud/node"
	"github.com/septet-io/septet/cloud/service"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

const component = "cloud-controller-manager"

// Config is all that the cloud-controller-manager can be told. Clients and Provider must be set.
type Config struct {
	// Clients is how the component reads and writes. Its informers are started by Run.
	Clients  *client.Set
	Provider cloudprovider.Interface
	// Election, when not nil, makes the controllers run only while this process holds the Lease.
	Election *reconcile.Election
	Journal  *journal.Ring
	// Metrics takes the collectors of the component; nil registers none.
	Metrics prometheus.Registerer
	// ClusterName is what the provider knows the cluster by; "kubernetes" if empty.
	ClusterName string
	// Workers is how many Services are worked on at the same time; 1 if 0.
	Workers int
}

// Run runs the controllers until ctx ends; with an Election, only while this process leads.
func Run(ctx context.Context, config Config) error {
	if config.Clients == nil || config.Provider == nil {
		return errors.New("cloud: clients and a provider are needed")
	}
	if config.ClusterName == "" {
		config.ClusterName = "kubernetes"
	}
	config.Workers = max(config.Workers, 1)
	metrics := reconcile.NewMetrics()
	if config.Metrics != nil {
		if err := config.Metrics.Register(metrics); err != nil {
			return fmt.Errorf("cloud: %w", err)
		}
		defer config.Metrics.Unregister(metrics)
	}
	runner := reconcile.Runner{Component: component, Journal: config.Journal, Metrics: metrics}
	if config.Election == nil {
		return run(ctx, ctx, &config, runner)
	}
	var failed error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := reconcile.Lead(ctx, *config.Election, func(leading context.Context) {
		if failed = run(ctx, leading, &config, runner); failed != nil {
			stop() // built from the same configuration it would fail again
		}
	})
	return errors.Join(err, failed)
}

// run builds the controllers that the provider supports and runs them until leading ends. Informers may outlive it.
func run(ctx, leading context.Context, config *Config, runner reconcile.Runner) error {
	broadcaster := record.NewBroadcaster(record.WithContext(leading))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: config.Clients.CoreV1().Events("")})
	events := func(component string) record.EventRecorder {
		return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	}
	if user, ok := config.Provider.(cloudprovider.InformerUser); ok {
		user.SetInformers(config.Clients.Informers)
	}
	config.Provider.Initialize(clientBuilder{config.Clients}, leading.Done())
	var built []reconcile.Controller
	if instances, ok := config.Provider.InstancesV2(); ok {
		built = append(built,
			node.Initializer(config.Clients, instances, events("cloud-node-controller")),
			node.Lifecycle(config.Clients, instances, events("cloud-node-lifecycle-controller")))
	}
	if balancer, ok := config.Provider.LoadBalancer(); ok {
		built = append(built, service.New(config.Clients, balancer, config.ClusterName, config.Workers, events("service-controller")))
	}
	config.Clients.Informers.StartWithContext(ctx)
	return runner.Run(leading, built...)
}

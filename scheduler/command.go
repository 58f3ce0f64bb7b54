package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/daemon/gates"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/scheduler/config"
	"github.com/septet-io/septet/scheduler/policy"
)

const component = "kube-scheduler"

// options is the command line. Flags about leader election and clients count only where they are given: else the file's values do.
type options struct {
	flags              *pflag.FlagSet
	file, writeTo      string
	kubeconfig, master string
	policyFile         string
	policyMap          string
	policyNamespace    string
	elect              bool
	lease, deadline    time.Duration
	retry              time.Duration
	leaseNamespace     string
	leaseName          string
	lock               string
	qps                float32
	burst              int32
	maxUnschedulable   time.Duration
	serve              daemon.SecurePort
	gates              gates.Flags
	unusedText         string
}

// Command returns the command kube-scheduler: the scheduler alone, against any API server, with upstream's flags.
func Command() *cobra.Command {
	o := &options{serve: daemon.SecurePort{Component: component, Port: 10259}}
	return daemon.Component(component, "Give every pod a node", o.add, o.run)
}

func (o *options) add(flags *pflag.FlagSet) {
	o.flags = flags
	flags.StringVar(&o.file, "config", "", "KubeSchedulerConfiguration file; its values win over flags that say the same")
	flags.StringVar(&o.writeTo, "write-config-to", "", "write the configuration with its defaults to this file and end")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig with the API server's address and this component's credentials")
	flags.StringVar(&o.master, "master", "", "address of the API server, instead of the kubeconfig's")
	flags.StringVar(&o.policyFile, "policy-config-file", "", "Policy file (predicates, priorities, extenders), instead of profiles")
	flags.StringVar(&o.policyMap, "policy-configmap", "", "ConfigMap with a Policy under the key policy.cfg, instead of profiles")
	flags.StringVar(&o.policyNamespace, "policy-configmap-namespace", metav1.NamespaceSystem, "namespace of that ConfigMap")
	flags.BoolVar(&o.elect, "leader-elect", true, "schedule only while holding a Lease")
	flags.DurationVar(&o.lease, "leader-elect-lease-duration", 15*time.Second, "how long others wait after the leader's last sign of life")
	flags.DurationVar(&o.deadline, "leader-elect-renew-deadline", 10*time.Second, "how long the leader tries to renew before it stops")
	flags.DurationVar(&o.retry, "leader-elect-retry-period", 2*time.Second, "pause between tries to get or renew the lease")
	flags.StringVar(&o.lock, "leader-elect-resource-lock", "leases", "kind of object to lock: leases")
	flags.StringVar(&o.leaseName, "leader-elect-resource-name", component, "name of the Lease")
	flags.StringVar(&o.leaseNamespace, "leader-elect-resource-namespace", metav1.NamespaceSystem, "namespace of the Lease")
	flags.Float32Var(&o.qps, "kube-api-qps", 0, "requests a second to the API server; 0 is as many as it takes")
	flags.Int32Var(&o.burst, "kube-api-burst", 0, "requests that may come at once beyond that")
	flags.DurationVar(&o.maxUnschedulable, "pod-max-in-unschedulable-pods-duration", 5*time.Minute, "after what time a refused pod is tried again although nothing happened")
	o.serve.AddFlags(flags)
	o.gates.AddFlags(flags)
	const no = "accepted for compatibility, without effect"
	for _, name := range []string{"kube-api-content-type", "show-hidden-metrics-for-version", "cert-dir",
		"disabled-metrics", "allow-metric-labels", "allow-metric-labels-manifest"} {
		flags.StringVar(&o.unusedText, name, "", no)
	}
}

func (o *options) run(ctx context.Context) error {
	if err := o.gates.Check(); err != nil {
		return daemon.UsageError("%v", err)
	}
	c, err := o.component()
	if err != nil {
		return err
	}
	if o.writeTo != "" {
		return write(o.writeTo, c)
	}
	listener, err := o.serve.Listen()
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close()
	}
	set, err := o.client(c)
	if err != nil {
		return err
	}
	if o.policyMap != "" {
		if err := o.policyFromMap(ctx, set, c); err != nil {
			return err
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := daemon.Mux(&daemon.Health{}, registry)
	ring := journal.New(0)
	mux.HandleFunc("GET /debug/journal", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(ring.Select(nil)) // an error means that the client has gone
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mounted := make(chan struct{})
	mount := func(pattern string, handler http.Handler) {
		mux.Handle(pattern, handler)
		if pattern == lastMounted {
			close(mounted)
		}
	}
	served := make(chan error, 1)
	go func() {
		defer cancel() // a port that cannot be served is a reason to end, and to be restarted
		select {
		case <-mounted:
		case <-ctx.Done():
		}
		if listener == nil {
			<-ctx.Done()
			served <- nil
			return
		}
		served <- o.serve.Serve(ctx, listener, set, mux)
	}()
	err = Run(ctx, Config{Client: set, Component: c, Journal: ring, Metrics: registry, Mount: mount, MaxUnschedulable: o.maxUnschedulable})
	cancel()
	if broken := <-served; err == nil {
		err = broken
	}
	return err
}

// component returns the configuration from the file, or from flags.
func (o *options) component() (*schedulerv1.KubeSchedulerConfiguration, error) {
	c := config.Default()
	if o.file != "" {
		var err error
		if c, err = config.ReadFile(o.file); err != nil {
			return nil, err
		}
		o.serve.Profiles.Serve = *c.EnableProfiling
	} else {
		o.election(c)
		c.EnableProfiling = &o.serve.Profiles.Serve
	}
	if o.policyFile != "" {
		data, err := os.ReadFile(o.policyFile)
		if err != nil {
			return nil, err
		}
		if err := policy.Apply(data, c); err != nil {
			return nil, fmt.Errorf("%s: %w", o.policyFile, err)
		}
	}
	if errs := config.Validate(c); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return c, nil
}

func (o *options) election(c *schedulerv1.KubeSchedulerConfiguration) {
	e := &c.LeaderElection
	e.LeaderElect = &o.elect
	e.LeaseDuration.Duration, e.RenewDeadline.Duration, e.RetryPeriod.Duration = o.lease, o.deadline, o.retry
	e.ResourceLock, e.ResourceName, e.ResourceNamespace = o.lock, o.leaseName, o.leaseNamespace
}

func (o *options) client(c *schedulerv1.KubeSchedulerConfiguration) (*client.Set, error) {
	kubeconfig := c.ClientConnection.Kubeconfig
	if kubeconfig == "" || o.flags.Changed("kubeconfig") && o.file == "" {
		kubeconfig = o.kubeconfig
	}
	set, err := client.FromKubeconfig(kubeconfig, o.master, daemon.UserAgent(component))
	if err != nil || o.qps == 0 {
		return set, err
	}
	limited := set.Config
	limited.QPS, limited.Burst = o.qps, int(o.burst)
	return client.New(limited)
}

// policyFromMap applies the Policy in a ConfigMap.
func (o *options) policyFromMap(ctx context.Context, set *client.Set, c *schedulerv1.KubeSchedulerConfiguration) error {
	where := o.policyNamespace + "/" + o.policyMap
	object, err := set.CoreV1().ConfigMaps(o.policyNamespace).Get(ctx, o.policyMap, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("policy ConfigMap %s: %w", where, err)
	}
	data, ok := object.Data[policy.ConfigMapKey]
	if !ok {
		return fmt.Errorf("policy ConfigMap %s: it has no key %q", where, policy.ConfigMapKey)
	}
	if err := policy.Apply([]byte(data), c); err != nil {
		return fmt.Errorf("policy ConfigMap %s: %w", where, err)
	}
	if errs := config.Validate(c); len(errs) > 0 {
		return fmt.Errorf("policy ConfigMap %s: %w", where, errs.ToAggregate())
	}
	return nil
}

func write(path string, c *schedulerv1.KubeSchedulerConfiguration) error {
	data, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

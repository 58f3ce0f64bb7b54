package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Command returns the command kube-controller-manager: this component alone, against any API server, with
// upstream's flags.
func Command() *cobra.Command {
	o := &options{}
	return daemon.Component(component, "Run the controllers of a cluster", o.add, o.run)
}

// run connects and works until ctx ends.
func (o *options) run(ctx context.Context) error {
	if err := o.finish(); err != nil {
		return daemon.UsageError("%v", err)
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
	config.Clients, config.Metrics, config.Journal = set, registry, journal.New(0)
	if o.useAccounts {
		config.As = Accounts(set, daemon.UserAgent(component))
	}
	if o.elect {
		if config.Election, err = o.election(set, registry); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	if listener != nil {
		go func() {
			mux := daemon.Mux(&daemon.Health{}, registry)
			mux.HandleFunc("GET /debug/journal", serveJournal(config.Journal))
			served <- o.serve.Serve(ctx, listener, set, mux)
			cancel() // a port that cannot be served is a reason to end, and to be restarted
		}()
	} else {
		served <- nil
	}
	err = Run(ctx, config)
	cancel()
	if broken := <-served; err == nil {
		err = broken
	}
	return err
}

// serveJournal writes the records of a ring as JSON, oldest first.
func serveJournal(ring *journal.Ring) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		records := ring.Select(nil)
		if records == nil {
			records = []journal.Record{}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(records); err != nil {
			klog.FromContext(r.Context()).V(4).Info("Client went away before the end of the journal", "err", err)
		}
	}
}

// election returns the candidacy that the flags describe, with the gauge that shows its result.
func (o *options) election(set *client.Set, registry prometheus.Registerer) (*reconcile.Election, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("hostname: %w", err)
	}
	leading := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "leader_election_master_status",
		Help: "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.",
	}, []string{"name"})
	registry.MustRegister(leading)
	return &reconcile.Election{
		Client: set, Namespace: o.electNamespace, Name: o.electName, Identity: host + "_" + uuid.NewString(),
		LeaseDuration: o.electLease, RenewDeadline: o.electDeadline, RetryPeriod: o.electRetry,
		Leading: func(is bool) {
			value := 0.0
			if is {
				value = 1
			}
			leading.WithLabelValues(o.electName).Set(value)
		},
	}, nil
}

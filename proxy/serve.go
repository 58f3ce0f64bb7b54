package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon"
)

// serve opens the two ports: health for balancers, metrics for those on this machine. A port that cannot be opened ends the proxy only with bindAddressHardFail.
func (l *loop) serve(ctx context.Context) error {
	for name, port := range map[string]struct {
		address string
		handler http.Handler
	}{
		"healthz": {l.config.Settings.HealthzBindAddress, l.node.Handler()},
		"metrics": {l.config.Settings.MetricsBindAddress, l.inspect()},
	} {
		if port.address == "" || port.address == "0" {
			continue
		}
		listener, err := net.Listen("tcp", port.address)
		if err != nil {
			if l.config.Settings.BindAddressHardFail {
				return fmt.Errorf("%s port: %w", name, err)
			}
			klog.FromContext(ctx).Error(err, "Port could not be opened; going on without it", "port", name)
			continue
		}
		go func() {
			if err := daemon.Serve(ctx, listener, nil, port.handler); err != nil {
				klog.FromContext(ctx).Error(err, "Port is no longer served", "port", name)
			}
		}()
	}
	return nil
}

// inspect is the port for people and for Prometheus.
func (l *loop) inspect() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", l.node.Handler())
	mux.HandleFunc("/proxyMode", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "nftables") })
	mux.HandleFunc("/configz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(map[string]any{"kubeproxy.config.k8s.io": l.config.Settings}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	if l.config.Gatherer != nil {
		mux.Handle("/metrics", promhttp.HandlerFor(l.config.Gatherer, promhttp.HandlerOpts{}))
	}
	if l.config.Settings.EnableProfiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

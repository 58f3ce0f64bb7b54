package controllers

import (
	"time"

	"github.com/spf13/pflag"
)

// addIgnored accepts upstream's flags that tune what is not there: resync periods of loops that are driven by
// events, client-side rate limits that the server's own fairness replaces, clouds that live in a component of their own.
// A unit file or manifest written for upstream starts unchanged.
func (o *options) addIgnored(flags *pflag.FlagSet) {
	const no = "accepted for compatibility, without effect"
	i := &o.ignored
	for _, name := range []string{
		"cloud-provider", "cloud-config", "external-cloud-volume-plugin", "leader-elect-resource-lock", "flex-volume-plugin-dir",
		"pv-recycler-pod-template-filepath-hostpath", "pv-recycler-pod-template-filepath-nfs", "kube-api-content-type", "cert-dir",
		"leader-migration-config", "allow-metric-labels-manifest", "show-hidden-metrics-for-version",
		"cidr-allocator-type",
	} {
		flags.StringVar(&i.text, name, "", no)
	}
	for _, name := range []string{"disabled-metrics", "allow-metric-labels"} {
		flags.StringSliceVar(&i.texts, name, nil, no)
	}
	for _, name := range []string{
		"disable-attach-detach-reconcile-sync", "disable-force-detach-on-timeout",
		"enable-leader-migration", "configure-cloud-routes", "emulation-forward-compatible",
	} {
		flags.BoolVar(&i.flag, name, false, no)
	}
	for _, name := range []string{
		"kube-api-burst", "pv-recycler-increment-timeout-nfs", "pv-recycler-minimum-timeout-hostpath", "pv-recycler-minimum-timeout-nfs",
		"pv-recycler-timeout-increment-hostpath", "concurrent-service-syncs", "concurrent-resourceclaim-syncs", "concurrent-device-taint-eviction-syncs",
	} {
		flags.IntVar(&i.number, name, 0, no)
	}
	flags.Float32Var(&i.fraction, "kube-api-qps", 0, no)
	for _, name := range []string{
		"min-resync-period", "controller-start-interval", "namespace-sync-period", "node-monitor-period", "pvclaimbinder-sync-period",
		"resource-quota-sync-period", "route-reconciliation-period", "attach-detach-reconcile-sync-period",
		"controller-shutdown-timeout",
	} {
		flags.DurationVar(&i.duration, name, time.Duration(0), no)
	}
}

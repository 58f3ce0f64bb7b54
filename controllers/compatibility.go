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
		"cloud-provider", "cloud-config", "external-cloud-volume-plugin", "node-sync-period", "leader-elect-resource-lock",
		"volume-host-allow-local-loopback", "flex-volume-plugin-dir", "pv-recycler-pod-template-filepath-hostpath",
		"pv-recycler-pod-template-filepath-nfs", "kube-api-content-type", "cert-dir", "emulated-version", "emulation-forward-compatible",
		"contention-profiling", "leader-migration-config", "cidr-allocator-type",
	} {
		flags.StringVar(&i.text, name, "", no)
	}
	for _, name := range []string{"feature-gates", "disabled-metrics", "allow-metric-labels", "show-hidden-metrics-for-version", "volume-host-cidr-denylist"} {
		flags.StringSliceVar(&i.texts, name, nil, no)
	}
	for _, name := range []string{
		"profiling", "disable-attach-detach-reconcile-sync", "disable-force-detach-on-timeout", "enable-garbage-collector",
		"enable-leader-migration", "configure-cloud-routes", "enable-taint-manager", "pv-recycler-timeout-increment-hostpath-enabled",
	} {
		flags.BoolVar(&i.flag, name, false, no)
		flags.Lookup(name).NoOptDefVal = "true"
	}
	for _, name := range []string{
		"kube-api-burst", "pv-recycler-increment-timeout-nfs", "pv-recycler-minimum-timeout-hostpath", "pv-recycler-minimum-timeout-nfs",
		"pv-recycler-timeout-increment-hostpath", "mirroring-concurrent-service-endpoint-syncs-burst",
	} {
		flags.IntVar(&i.number, name, 0, no)
	}
	flags.Float32Var(&i.fraction, "kube-api-qps", 0, no)
	for _, name := range []string{
		"min-resync-period", "controller-start-interval", "deployment-controller-sync-period", "namespace-sync-period",
		"node-monitor-period", "pod-eviction-timeout", "pvclaimbinder-sync-period", "resource-quota-sync-period", "route-reconciliation-period",
		"attach-detach-reconcile-sync-period", "endpoint-updates-batch-period", "mirroring-endpointslice-updates-batch-period",
		"horizontal-pod-autoscaler-upscale-delay", "horizontal-pod-autoscaler-downscale-delay",
	} {
		flags.DurationVar(&i.duration, name, time.Duration(0), no)
	}
}

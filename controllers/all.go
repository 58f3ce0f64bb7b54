package controllers

import (
	"time"

	"github.com/septet-io/septet/controllers/admissionpolicy"
	"github.com/septet-io/septet/controllers/bootstraptoken"
	"github.com/septet-io/septet/controllers/certificates"
	"github.com/septet-io/septet/controllers/clusterroleaggregation"
	"github.com/septet-io/septet/controllers/cronjob"
	"github.com/septet-io/septet/controllers/daemonset"
	"github.com/septet-io/septet/controllers/deployment"
	"github.com/septet-io/septet/controllers/disruption"
	"github.com/septet-io/septet/controllers/endpoints"
	"github.com/septet-io/septet/controllers/endpointslice"
	"github.com/septet-io/septet/controllers/endpointslicemirroring"
	"github.com/septet-io/septet/controllers/ephemeralvolume"
	"github.com/septet-io/septet/controllers/garbagecollector"
	"github.com/septet-io/septet/controllers/hpa"
	"github.com/septet-io/septet/controllers/job"
	"github.com/septet-io/septet/controllers/namespace"
	"github.com/septet-io/septet/controllers/nodeipam"
	"github.com/septet-io/septet/controllers/nodelifecycle"
	"github.com/septet-io/septet/controllers/persistentvolume"
	"github.com/septet-io/septet/controllers/podgc"
	"github.com/septet-io/septet/controllers/replicaset"
	"github.com/septet-io/septet/controllers/replicationcontroller"
	"github.com/septet-io/septet/controllers/resourcequota"
	"github.com/septet-io/septet/controllers/rootca"
	"github.com/septet-io/septet/controllers/serviceaccount"
	"github.com/septet-io/septet/controllers/servicecidr"
	"github.com/septet-io/septet/controllers/statefulset"
	"github.com/septet-io/septet/controllers/tainteviction"
	"github.com/septet-io/septet/controllers/ttlafterfinished"
	"github.com/septet-io/septet/reconcile"
)

// all lists every controller of the kube-controller-manager, in the order in which they are built and first
// run. The order matters little to correctness, since each waits for its own informers, but it is the order in
// which a fresh cluster comes alive: what others need to exist comes first.
var all = []Entry{
	// What a namespace needs before a Pod can run in it.
	{
		Name: "serviceaccount-controller", Alias: "serviceaccount", Account: "service-account-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(serviceaccount.New(e.Set)) },
	},
	{
		Name: "clusterrole-aggregation-controller", Alias: "clusterrole-aggregation", Account: "clusterrole-aggregation-controller", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(clusterroleaggregation.New(e.Set, e.Workers)) },
	},
	{
		Name: "root-ca-certificate-publisher-controller", Alias: "root-ca-cert-publisher", Account: "root-ca-cert-publisher",
		New: func(e *Env) ([]reconcile.Controller, error) {
			bundle, err := e.Config.rootCA()
			if err != nil || len(bundle) == 0 {
				return nil, err
			}
			return one(rootca.New(e.Set, bundle))
		},
	},

	{
		Name: "serviceaccount-token-controller", Alias: "serviceaccount-token",
		Flag: "concurrent-serviceaccount-token-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			key, bundle, err := e.Config.tokenMaterial()
			if err != nil || len(key) == 0 {
				return nil, err
			}
			return one(serviceaccount.NewTokens(e.Set, e.Workers, key, bundle))
		},
	},

	// What Services get their addresses from.
	{
		Name: "service-cidr-controller", Account: "service-cidrs-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(servicecidr.New(e.Set)) },
	},

	// What a Node needs before Pods can run on it.
	{
		Name: "node-ipam-controller", Alias: "nodeipam", Account: "node-controller",
		New: func(e *Env) ([]reconcile.Controller, error) {
			ranges, avoid, err := e.Config.Nodes.ranges()
			if err != nil || len(ranges) == 0 {
				return nil, err
			}
			return one(nodeipam.New(e.Set, e.Events("cidrAllocator"), ranges, avoid))
		},
	},
	{
		Name: "certificatesigningrequest-approving-controller", Alias: "csrapproving", Account: "certificate-controller", Workers: 1,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(certificates.NewApprover(e.Set, e.Workers, e.Config.Signing.ApproveServing))
		},
	},
	{
		Name: "certificatesigningrequest-signing-controller", Alias: "csrsigning", Account: "certificate-controller", Workers: 1,
		New: func(e *Env) ([]reconcile.Controller, error) {
			authorities := e.Config.Signing.authorities()
			if len(authorities) == 0 {
				return nil, nil
			}
			return one(certificates.NewSigner(e.Set, e.Workers, authorities, orDefault(e.Config.Signing.Duration, year)))
		},
	},
	{
		Name: "certificatesigningrequest-cleaner-controller", Alias: "csrcleaner", Account: "certificate-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(certificates.NewCleaner(e.Set)) },
	},
	{
		Name: "node-lifecycle-controller", Alias: "nodelifecycle", Account: "node-controller", Workers: 8,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(nodelifecycle.New(e.Set, e.Events("node-controller"), nodelifecycle.Config{
				Grace: orDefault(e.Config.Nodes.MonitorGracePeriod, 50*time.Second), StartupGrace: orDefault(e.Config.Nodes.StartupGracePeriod, time.Minute),
				Workers: e.Workers,
			}))
		},
	},
	{
		Name: "taint-eviction-controller", Account: "node-controller", Workers: 8,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(tainteviction.New(e.Set, e.Events("taint-eviction-controller"), e.Workers))
		},
	},

	// Workloads, from the outside in: each makes the objects that the next one runs.
	{
		Name: "deployment-controller", Alias: "deployment", Account: "deployment-controller",
		Flag: "concurrent-deployment-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(deployment.New(e.Set, e.Events("deployment-controller"), e.Workers))
		},
	},
	{
		Name: "replicaset-controller", Alias: "replicaset", Account: "replicaset-controller",
		Flag: "concurrent-replicaset-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(replicaset.New(e.Set, e.Events("replicaset-controller"), e.Workers))
		},
	},
	{
		Name: "replicationcontroller-controller", Alias: "replicationcontroller", Account: "replication-controller",
		Flag: "concurrent-rc-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(replicationcontroller.New(e.Set, e.Events("replication-controller"), e.Workers))
		},
	},
	{
		Name: "statefulset-controller", Alias: "statefulset", Account: "statefulset-controller",
		Flag: "concurrent-statefulset-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(statefulset.New(e.Set, e.Events("statefulset-controller"), e.Workers))
		},
	},
	{
		Name: "daemonset-controller", Alias: "daemonset", Account: "daemon-set-controller",
		Flag: "concurrent-daemonset-syncs", Workers: 2,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(daemonset.New(e.Set, e.Events("daemonset-controller"), e.Workers))
		},
	},
	{
		Name: "job-controller", Alias: "job", Account: "job-controller",
		Flag: "concurrent-job-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return job.New(e.Set, e.Events("job-controller"), e.Workers, e.Config.Metrics)
		},
	},
	{
		Name: "cronjob-controller", Alias: "cronjob", Account: "cronjob-controller",
		Flag: "concurrent-cron-job-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(cronjob.New(e.Set, e.Events("cronjob-controller"), e.Workers, e.Config.Metrics))
		},
	},
	{
		Name: "disruption-controller", Alias: "disruption", Account: "disruption-controller",
		New: func(e *Env) ([]reconcile.Controller, error) {
			return disruption.New(e.Set, e.Events("controllermanager"))
		},
	},
	{
		Name: "horizontal-pod-autoscaler-controller", Alias: "horizontalpodautoscaling", Account: "horizontal-pod-autoscaler",
		Flag: "concurrent-horizontal-pod-autoscaler-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(hpa.New(e.Set, e.Events("horizontal-pod-autoscaler"), e.Workers, hpa.Options(e.Config.HPA)))
		},
	},

	// Storage: what Pods wait for before they can be placed.
	{
		Name: "persistentvolume-binder-controller", Alias: "persistentvolume-binder", Account: "persistent-volume-binder",
		New: func(e *Env) ([]reconcile.Controller, error) {
			return persistentvolume.New(e.Set, e.Events("persistentvolume-controller"), e.Config.Volumes.Provisioners...)
		},
	},
	{
		Name: "persistentvolumeclaim-protection-controller", Alias: "pvc-protection", Account: "pvc-protection-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(persistentvolume.NewClaimProtection(e.Set)) },
	},
	{
		Name: "persistentvolume-protection-controller", Alias: "pv-protection", Account: "pv-protection-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(persistentvolume.NewVolumeProtection(e.Set)) },
	},
	{
		Name: "volumeattributesclass-protection-controller", Account: "volumeattributesclass-protection-controller",
		New: func(e *Env) ([]reconcile.Controller, error) { return one(persistentvolume.NewClassProtection(e.Set)) },
	},
	{
		Name: "ephemeral-volume-controller", Alias: "ephemeral-volume", Account: "ephemeral-volume-controller",
		Flag: "concurrent-ephemeralvolume-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(ephemeralvolume.New(e.Set, e.Events("ephemeral_volume"), e.Workers))
		},
	},

	// What Services lead to.
	{
		Name: "endpointslice-controller", Alias: "endpointslice", Account: "endpointslice-controller",
		Flag: "concurrent-service-endpoint-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			c := e.Config.Endpoints
			return one(endpointslice.New(e.Set, e.Events("endpoint-slice-controller"), e.Workers, orDefault(c.MaxPerSlice, 100), c.BatchPeriod))
		},
	},

	// What admission goes by.
	{
		Name: "resourcequota-controller", Alias: "resourcequota", Account: "resourcequota-controller",
		Flag: "concurrent-resource-quota-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(resourcequota.New(e.Set, e.Workers)) },
	},
	{
		Name: "validatingadmissionpolicy-status-controller", Account: "validatingadmissionpolicy-status-controller",
		Flag: "concurrent-validating-admission-policy-status-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(admissionpolicy.New(e.Set, e.Workers)) },
	},
	{
		Name: "endpoints-controller", Alias: "endpoint", Account: "endpoint-controller",
		Flag: "concurrent-endpoint-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(endpoints.New(e.Set, e.Events("endpoint-controller"), e.Workers, e.Config.Endpoints.ObjectBatchPeriod))
		},
	},
	{
		Name: "endpointslice-mirroring-controller", Alias: "endpointslicemirroring", Account: "endpointslicemirroring-controller",
		Flag: "mirroring-concurrent-service-endpoint-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			c := e.Config.Endpoints
			return one(endpointslicemirroring.New(e.Set, e.Events("endpoint-slice-mirroring-controller"), e.Workers, orDefault(c.MaxPerMirroredSubset, 1000), c.MirrorBatchPeriod))
		},
	},

	// Cleaning up, from single objects to whole namespaces. The garbage collector comes last: it listens to the
	// informers that all others have asked for by then, instead of watching the same objects once more.
	{
		Name: "ttl-after-finished-controller", Alias: "ttl-after-finished", Account: "ttl-after-finished-controller",
		Flag: "concurrent-ttl-after-finished-syncs", Workers: 5,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(ttlafterfinished.New(e.Set, e.Workers))
		},
	},
	{
		Name: "pod-garbage-collector-controller", Alias: "podgc", Account: "pod-garbage-collector",
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(podgc.New(e.Set, e.Config.terminatedPods()))
		},
	},
	{
		Name: "legacy-serviceaccount-token-cleaner-controller", Alias: "legacy-service-account-token-cleaner", Account: "legacy-service-account-token-cleaner",
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(serviceaccount.NewLegacyCleaner(e.Set, e.Config.Clients, e.Config.LegacyTokenCleanUp))
		},
	},
	{
		Name: "bootstrap-signer-controller", Alias: "bootstrapsigner", Account: "bootstrap-signer", Off: true,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(bootstraptoken.NewSigner(e.Set)) },
	},
	{
		Name: "token-cleaner-controller", Alias: "tokencleaner", Account: "token-cleaner", Off: true,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(bootstraptoken.NewCleaner(e.Set)) },
	},
	{
		Name: "namespace-controller", Alias: "namespace", Account: "namespace-controller",
		Flag: "concurrent-namespace-syncs", Workers: 10,
		New: func(e *Env) ([]reconcile.Controller, error) { return one(namespace.New(e.Set, e.Workers)) },
	},
	{
		Name: "garbage-collector-controller", Alias: "garbagecollector", Account: "generic-garbage-collector",
		Flag: "concurrent-gc-syncs", Workers: 20,
		New: func(e *Env) ([]reconcile.Controller, error) {
			return one(garbagecollector.New(e.Set, e.Events("garbage-collector-controller"), e.Workers))
		},
	},
}

package controllers

import (
	"github.com/septet-io/septet/controllers/deployment"
	"github.com/septet-io/septet/controllers/replicaset"
	"github.com/septet-io/septet/controllers/replicationcontroller"
	"github.com/septet-io/septet/controllers/rootca"
	"github.com/septet-io/septet/controllers/serviceaccount"
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
		Name: "root-ca-certificate-publisher-controller", Alias: "root-ca-cert-publisher", Account: "root-ca-cert-publisher",
		New: func(e *Env) ([]reconcile.Controller, error) {
			bundle, err := e.Config.rootCA()
			if err != nil || len(bundle) == 0 {
				return nil, err
			}
			return one(rootca.New(e.Set, bundle))
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
}

package controllers

import (
	"github.com/septet-io/septet/controllers/deployment"
	"github.com/septet-io/septet/controllers/replicaset"
	"github.com/septet-io/septet/controllers/replicationcontroller"
	"github.com/septet-io/septet/reconcile"
)

// all lists every controller of the kube-controller-manager, in the order in which they are built and first
// run. The order matters little to correctness, since each waits for its own informers, but it is the order in
// which a fresh cluster comes alive: what others need to exist comes first.
var all = []Entry{
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

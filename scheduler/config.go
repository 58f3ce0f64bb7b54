package scheduler

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/scheduler/plugins"
)

// Config is all that a scheduler is made from. Client is needed, the rest has defaults.
type Config struct {
	// Client is how the API is reached. Its informers are started by Run.
	Client *client.Set
	// Component is the configuration file's contents, defaulted and valid; nil means upstream's defaults.
	Component *schedulerv1.KubeSchedulerConfiguration
	// Plugins are added to the table of those that come with the scheduler; profiles must name them.
	Plugins []plugins.Entry
	// Journal gets a record of each decision and binding; may be nil.
	Journal *journal.Ring
	// Metrics is where the metrics are registered; may be nil.
	Metrics prometheus.Registerer
	// Identity stands in the lease; it should stay the same over restarts of one server. Empty means host name and a random part.
	Identity string
	// Leading, when set, is told when the scheduler starts or stops leading.
	Leading func(bool)
	// Mount, when set, is called once with what is served under /debug/why/ (not guarded: whoever serves it guards it).
	Mount func(pattern string, handler http.Handler)
	// MaxUnschedulable is after what time a refused pod is tried again although nothing happened; zero means five minutes.
	MaxUnschedulable time.Duration
	// BindConcurrency is how many bindings are in flight at most; zero means 256.
	BindConcurrency int
}

package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Metrics of what is asked of etcd, under upstream's names.
var (
	etcdTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "etcd_request_duration_seconds", Help: "Time that etcd took, by what it was asked about which kind.",
		Buckets: []float64{0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60},
	}, perOperation)
	etcdRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "etcd_requests_total", Help: "Requests to etcd.",
	}, perOperation)
	etcdErrors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "etcd_request_errors_total", Help: "Requests to etcd that failed.",
	}, perOperation)
	received = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "apiserver_storage_events_received_total", Help: "Changes that etcd told of.",
	}, []string{"group", "resource"})

	perOperation = []string{"operation", "group", "resource"}

	// Metrics are those of this package, for the server to register.
	Metrics = []prometheus.Collector{etcdTime, etcdRequests, etcdErrors, received}
)

// meter has a kind's metrics, looked up once.
type meter struct {
	create, update, remove, list operation
	received                     prometheus.Counter
}

// operation is one thing that etcd is asked to do.
type operation struct {
	took             prometheus.Observer
	requests, errors prometheus.Counter
}

func newMeter(of schema.GroupResource) meter {
	on := func(name string) operation {
		labels := []string{name, of.Group, of.Resource}
		return operation{etcdTime.WithLabelValues(labels...), etcdRequests.WithLabelValues(labels...), etcdErrors.WithLabelValues(labels...)}
	}
	return meter{on("create"), on("update"), on("delete"), on("list"), received.WithLabelValues(of.Group, of.Resource)}
}

// observe counts a request that began then.
func (o *operation) observe(began time.Time, err error) {
	o.took.Observe(time.Since(began).Seconds())
	o.requests.Inc()
	if err != nil {
		o.errors.Inc()
	}
}

// write is the operation that a transaction is.
func (m *meter) write(t *transaction) *operation {
	switch {
	case t.value == nil:
		return &m.remove
	case t.at == 0:
		return &m.create
	}
	return &m.update
}

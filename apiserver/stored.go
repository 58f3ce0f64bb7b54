package apiserver

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/septet-io/septet/apiserver/store"
)

// stored measures what lies in etcd, when somebody looks: no counter is kept for it.
type stored struct{ server *Server }

var (
	storedObjects = prometheus.NewDesc("apiserver_storage_objects", "Objects in storage, by kind; -1 if they could not be counted.", []string{"resource"}, nil)
	storedBytes   = prometheus.NewDesc("apiserver_storage_size_bytes", "Size of etcd's database.", []string{"storage_cluster_id"}, nil)
)

// Describe is prometheus.Collector.
func (s stored) Describe(to chan<- *prometheus.Desc) { to <- storedObjects; to <- storedBytes }

// Collect is prometheus.Collector. Only kinds are counted that are in memory already: to measure must not read all of etcd.
func (s stored) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), etcdTime)
	defer cancel()
	for kind, one := range s.server.stores.opened() {
		count := -1.0
		if page, err := one.List(ctx, store.Query{ResourceVersion: "0"}); err == nil {
			count = float64(len(page.Items))
		}
		to <- prometheus.MustNewConstMetric(storedObjects, prometheus.GaugeValue, count, kind.GroupResource().String())
	}
	client := s.server.config.Etcd
	if client == nil || len(client.Endpoints()) == 0 {
		return
	}
	if status, err := client.Status(ctx, client.Endpoints()[0]); err == nil {
		to <- prometheus.MustNewConstMetric(storedBytes, prometheus.GaugeValue, float64(status.DbSize), "etcd-0")
	}
}

package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/resource"
)

// cpu is what the process has used so far.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measure runs the operation b.N times from some clients and reports the CPU time of the whole process for each.
func measure(b *testing.B, clients int, do func(n int)) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
				do(int(n))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func benchStore(b *testing.B) store.Store {
	b.Helper()
	server := startEtcd(b, etcd.Config{})
	backend := store.Connect(store.BackendOptions{Client: server.Client(), Revision: server.Revision, Dedicated: true})
	b.Cleanup(backend.Stop)
	s := store.New(storetest.OptionsFor(storetest.Pods, backend))
	b.Cleanup(s.Stop)
	if _, err := s.List(b.Context(), store.Query{}); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchPod(n int) *corev1.Pod {
	return storetest.Pod(fmt.Sprintf("ns-%d", n%50), fmt.Sprintf("pod-%06d", n), fmt.Sprintf("node-%d", n%100),
		map[string]string{"app": "web", "hundredth": fmt.Sprint(n % 100)})
}

func keyOf(p *corev1.Pod) store.Key { return store.Key{Namespace: p.Namespace, Name: p.Name} }

func createPods(b *testing.B, s store.Store, n int) []store.Key {
	b.Helper()
	keys := make([]store.Key, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				p := benchPod(int(i))
				keys[i] = keyOf(p)
				if _, err := s.Create(context.Background(), keys[i], p, 0); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return keys
}

func BenchmarkCreate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := benchStore(b)
			measure(b, clients, func(n int) {
				p := benchPod(n)
				if _, err := s.Create(b.Context(), keyOf(p), p, 0); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := benchStore(b)
			keys := createPods(b, s, 1000)
			measure(b, clients, func(n int) {
				if _, err := s.Get(b.Context(), keys[n%len(keys)], ""); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := benchStore(b)
			keys := createPods(b, s, 1000)
			measure(b, clients, func(n int) {
				_, _, err := s.Update(b.Context(), keys[n%len(keys)], nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
					p := current.Object.DeepCopyObject().(*corev1.Pod)
					p.Status.Message = fmt.Sprint(n)
					return p, 0, nil
				})
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkDelete(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s := benchStore(b)
			keys := createPods(b, s, b.N)
			measure(b, clients, func(n int) {
				if _, err := s.Delete(b.Context(), keys[n], nil, nil); err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func BenchmarkList(b *testing.B) {
	for _, size := range []int{10000, 50000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchStore(b)
			createPods(b, s, size)
			label, err := labels.Parse("hundredth=7")
			if err != nil {
				b.Fatal(err)
			}
			for name, query := range map[string]store.Query{
				"all":       {},
				"namespace": {Namespace: "ns-7"},
				"label":     {Labels: label},
				"node":      {Fields: fields.ParseSelectorOrDie("spec.nodeName=node-7")},
				"limit":     {Limit: 500},
			} {
				b.Run(name, func(b *testing.B) {
					measure(b, 1, func(int) {
						if page, err := s.List(b.Context(), query); err != nil || len(page.Items) == 0 {
							b.Errorf("%d items, %v", len(page.Items), err)
						}
					})
				})
			}
		})
	}
}

// BenchmarkWatch is the cost of one event delivered: 1,000 watchers of everything, and 5,000 of which each watches one node.
func BenchmarkWatch(b *testing.B) {
	b.Run("1000ofAll", func(b *testing.B) {
		benchWatch(b, 1000, 1000, func(int) store.WatchQuery { return store.WatchQuery{SendInitialEvents: ptr.To(false)} })
	})
	b.Run("1000byLabel", func(b *testing.B) {
		selector, err := labels.Parse("app=web")
		if err != nil {
			b.Fatal(err)
		}
		benchWatch(b, 1000, 1000, func(int) store.WatchQuery {
			return store.WatchQuery{SendInitialEvents: ptr.To(false), Query: store.Query{Labels: selector}}
		})
	})
	b.Run("5000byNode", func(b *testing.B) {
		benchWatch(b, 5000, 50, func(n int) store.WatchQuery {
			return store.WatchQuery{SendInitialEvents: ptr.To(false),
				Query: store.Query{Fields: fields.ParseSelectorOrDie(fmt.Sprintf("spec.nodeName=node-%d", n%100))}}
		})
	})
}

func benchWatch(b *testing.B, watchers, interested int, query func(n int) store.WatchQuery) {
	s := benchStore(b)
	var missing atomic.Int64
	all := make(chan struct{}, 1)
	for n := range watchers {
		w, err := s.Watch(b.Context(), query(n))
		if err != nil {
			b.Fatal(err)
		}
		defer w.Stop()
		go func() {
			for batch := range w.Events() {
				if missing.Add(-int64(len(batch))) == 0 {
					all <- struct{}{}
				}
			}
		}()
	}
	b.ResetTimer()
	before := cpu()
	for n := range b.N {
		p := benchPod(n)
		missing.Store(int64(interested))
		if _, err := s.Create(b.Context(), keyOf(p), p, 0); err != nil {
			b.Fatal(err)
		}
		<-all
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N*interested), "cpu-ns/event")
}

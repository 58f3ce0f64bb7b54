package reconcile

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/journal"
)

// configs returns an informer of ConfigMaps on a fake API that has one called "a".
func configs(t *testing.T) (*fake.Clientset, cache.SharedIndexInformer) {
	t.Helper()
	api := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", ResourceVersion: "7"}})
	factory := informers.NewSharedInformerFactory(api, 0)
	informer := factory.Core().V1().ConfigMaps().Informer()
	ctx, cancel := context.WithCancel(context.Background())
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	return api, informer
}

// run runs a controller until stop is called, which returns when everything has ended.
func run(t *testing.T, r Runner, controllers ...Controller) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, controllers...) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestWhatExistsIsReconciledAtTheStart(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	keys := make(chan Key, 10)
	run(t, Runner{}, Controller{
		Name: "test", Watches: []Watch{{Informer: informer}},
		Reconcile: func(_ context.Context, key Key) (Result, error) { keys <- key; return Result{}, nil },
	})
	if got := receive(t, keys); got != (Key{Namespace: "default", Name: "a"}) {
		t.Errorf("reconciled %v", got)
	}
}

func TestErrorsAndPanicsAreTriedAgain(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	tries := make(chan int, 10)
	n := 0
	run(t, Runner{}, Controller{
		Name: "test", Watches: []Watch{{Informer: informer}}, Backoff: Backoff{Base: time.Millisecond, Max: time.Millisecond},
		Reconcile: func(context.Context, Key) (Result, error) {
			n++
			tries <- n
			switch n {
			case 1:
				return Result{}, errors.New("no")
			case 2:
				panic("worse")
			case 3:
				return Result{}, Wait("a little")
			case 4:
				return Result{After: time.Millisecond}, nil
			}
			return Result{}, nil
		},
	})
	for want := 1; want <= 5; want++ {
		if got := receive(t, tries); got != want {
			t.Fatalf("try %d, want %d", got, want)
		}
	}
}

func TestAKeyIsNeverReconciledTwiceAtTheSameTime(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	var running, turns atomic.Int32
	done := make(chan bool, 1)
	run(t, Runner{}, Controller{
		Name: "test", Workers: 4, Watches: []Watch{{Informer: informer}},
		Start: func(_ context.Context, enqueue func(Key)) error {
			go func() {
				for range 1000 {
					enqueue(Key{Name: "one"})
				}
				enqueue(Key{Name: "last"})
			}()
			return nil
		},
		Reconcile: func(_ context.Context, key Key) (Result, error) {
			if key.Name == "last" {
				done <- true
			}
			if key.Name != "one" {
				return Result{}, nil
			}
			if running.Add(1) > 1 {
				t.Error("two workers have the same key")
			}
			turns.Add(1)
			running.Add(-1)
			return Result{}, nil
		},
	})
	receive(t, done)
	if turns.Load() == 0 {
		t.Error("never reconciled")
	}
}

func TestStartIsTriedAgainAndComesBeforeWorkers(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	var started atomic.Bool
	keys := make(chan Key, 10)
	tries := 0
	run(t, Runner{}, Controller{
		Name: "test", Watches: []Watch{{Informer: informer, Keys: func(_, _ any) []Key { return nil }}},
		Start: func(_ context.Context, enqueue func(Key)) error {
			if tries++; tries == 1 {
				return errors.New("not yet")
			}
			enqueue(Key{Name: "mine"})
			started.Store(true)
			return nil
		},
		Reconcile: func(_ context.Context, key Key) (Result, error) {
			if !started.Load() {
				t.Error("a worker ran before Start was done")
			}
			keys <- key
			return Result{}, nil
		},
	})
	if got := receive(t, keys); got.Name != "mine" {
		t.Errorf("reconciled %v", got)
	}
}

// TestControllersCanBeRunAgain is what happens when a leader loses its lease and wins it back.
// A process that is told to end while it begins has not failed; controllers on informers that have ended have.
func TestAnInformerThatHasEnded(t *testing.T) {
	t.Parallel()
	informer := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Core().V1().ConfigMaps().Informer()
	ended, end := context.WithCancel(context.Background())
	end()
	informer.RunWithContext(ended)
	controller := Controller{Name: "test", Watches: []Watch{{Informer: informer}}}
	if err := (Runner{}).Run(ended, controller); err != nil {
		t.Errorf("at the end: %v", err)
	}
	if err := (Runner{}).Run(context.Background(), controller); err == nil {
		t.Error("there is nothing to run on, and that was no error")
	}
}

func TestControllersCanBeRunAgain(t *testing.T) {
	t.Parallel()
	api, informer := configs(t)
	metrics := NewMetrics()
	for round := range 2 {
		keys := make(chan Key, 10)
		stop := run(t, Runner{Metrics: metrics}, Controller{
			Name: "test", Watches: []Watch{{Informer: informer}},
			Reconcile: func(_ context.Context, key Key) (Result, error) { keys <- key; return Result{}, nil },
		})
		receive(t, keys)
		stop()
		if _, err := api.CoreV1().ConfigMaps("default").Update(context.Background(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", Labels: map[string]string{"round": string(rune('a' + round))}},
		}, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		select {
		case key := <-keys:
			t.Errorf("%v was reconciled after the end", key)
		default:
		}
	}
}

func TestAControllerWhoseInformerDoesNotSyncHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	never := informers.NewSharedInformerFactory(fake.NewClientset(), 0).Core().V1().Secrets().Informer() // not started
	keys := make(chan Key, 10)
	run(t, Runner{},
		Controller{Name: "stuck", Watches: []Watch{{Informer: never}}, Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil }},
		Controller{Name: "free", Watches: []Watch{{Informer: informer}},
			Reconcile: func(_ context.Context, key Key) (Result, error) { keys <- key; return Result{}, nil }},
	)
	receive(t, keys)
}

func TestTheJournalTellsWhatWasDoneAndWhy(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	ring := journal.New(16)
	done := make(chan bool, 10)
	stop := run(t, Runner{Component: "kube-controller-manager", Journal: ring}, Controller{
		Name: "test-controller", Kind: "ConfigMap", Watches: []Watch{{Informer: informer}},
		Reconcile: func(ctx context.Context, key Key) (Result, error) {
			Note(ctx, journal.Record{Step: "create", Kind: "Pod", Namespace: "default", Name: "p"})
			done <- true
			return Result{}, nil
		},
	})
	receive(t, done)
	stop()
	records := ring.Select(nil)
	if len(records) != 2 {
		t.Fatalf("%d records: %+v", len(records), records)
	}
	if r := records[0]; r.Step != "create" || r.Owner != "ConfigMap/default/a" || r.Component != "kube-controller-manager" {
		t.Errorf("the write is told as %+v", r)
	}
	if r := records[1]; r.Step != "reconcile" || r.Name != "a" || !strings.HasPrefix(r.Note, "test-controller") {
		t.Errorf("the turn is told as %+v", r)
	}
}

func TestQueuesAreMeasuredUnderUpstreamsNames(t *testing.T) {
	t.Parallel()
	_, informer := configs(t)
	metrics := NewMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	begun, end := make(chan bool, 1), make(chan bool)
	run(t, Runner{Metrics: metrics}, Controller{
		Name: "test-controller", Queue: "test", Watches: []Watch{{Informer: informer}},
		Reconcile: func(context.Context, Key) (Result, error) { begun <- true; <-end; return Result{}, nil },
	})
	receive(t, begun)
	defer close(end)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, family := range families {
		found[family.GetName()] = true
		for _, metric := range family.GetMetric() {
			if label := metric.GetLabel()[0]; label.GetName() != "name" || label.GetValue() != "test" {
				t.Errorf("%s has label %v", family.GetName(), label)
			}
		}
	}
	for _, name := range []string{"depth", "adds_total", "queue_duration_seconds", "work_duration_seconds", "unfinished_work_seconds", "longest_running_processor_seconds", "retries_total"} {
		if !found["workqueue_"+name] {
			t.Errorf("workqueue_%s is missing", name)
		}
	}
}

func TestKeysOfEvents(t *testing.T) {
	t.Parallel()
	object := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	each := Each(func(c *corev1.ConfigMap) []Key { return []Key{{Name: c.Name}} })
	for _, test := range []struct {
		name     string
		old, obj any
		want     int
	}{
		{"an add", nil, object("a"), 1},
		{"an update that changes nothing", object("a"), object("a"), 1},
		{"an update that moves it", object("a"), object("b"), 2},
		{"a deletion", object("a"), nil, 1},
		{"something else", "text", nil, 0},
	} {
		if got := each(test.old, test.obj); len(got) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	if key, ok := ObjectKey(cache.DeletedFinalStateUnknown{Obj: object("gone")}); !ok || key.Name != "gone" {
		t.Errorf("a tombstone's key is %v", key)
	}
}

func BenchmarkWake(b *testing.B) {
	l := newLoop(Runner{}, Controller{Name: "bench"})
	key := Key{Namespace: "default", Name: "a"}
	b.ReportAllocs()
	for b.Loop() {
		l.wake(key, "1")
		got, _ := l.queue.Get()
		l.take(got)
		l.finish(got, time.Now())
		l.queue.Done(got)
	}
}

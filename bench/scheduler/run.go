package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

type options struct {
	nodes, pods, creators                 int
	patience                              time.Duration
	peerScheduler, peerServer, cpuProfile string
}

type result struct {
	nodes, pods             int
	average, p50, p90, p99  float64 // pods a second
	latency50, latency99    time.Duration
	cpu, schedulerCPU       time.Duration // user and system, of all processes, and of a scheduler apart
	memory, schedulerMemory int64         // resident bytes at the end, likewise
	events                  int64         // written from the begin to the end
	allocated               uint64        // bytes, by this process: what the garbage collector is paid for
}

// each is a part of a time for one pod.
func (r *result) each(of time.Duration) time.Duration {
	return (of / time.Duration(r.pods)).Round(time.Microsecond)
}

// bench is one running cluster.
type bench struct {
	*control
	w      *workload
	o      options
	mu     sync.Mutex
	made   map[string]time.Time     // creation by pod, until it is bound
	bound  map[string]time.Duration // latency by pod
	when   []time.Time              // of each binding of a measured pod
	placed atomic.Int64             // all pods with a node
}

func run(ctx context.Context, w *workload, v variant, o options) (*result, error) {
	debug.FreeOSMemory() // what the last workload left
	if w.nodes > 0 {
		o.nodes = int(float64(o.nodes) * w.nodes)
	}
	c, err := start(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &bench{control: c, w: w, o: o, made: map[string]time.Time{}, bound: map[string]time.Duration{}}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	if err := c.schedule(ctx, v); err != nil {
		return nil, err
	}
	if err := b.before(ctx); err != nil {
		return nil, b.explained(err)
	}
	r, err := b.measure(ctx)
	return r, b.explained(err)
}

// explained adds what a scheduler apart has said.
func (b *bench) explained(err error) error {
	if err == nil || b.scheduler == nil {
		return err
	}
	text := b.scheduler.Output()
	return fmt.Errorf("%w; the scheduler said:\n%s", err, text[max(len(text)-4000, 0):])
}

// prepare makes the nodes and volumes, and watches the pods.
func (b *bench) prepare(ctx context.Context) error {
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: important}, Value: 10}
	if _, err := b.set.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := b.many(b.o.nodes, func(i int) error { return b.createNode(ctx, i) }); err != nil {
		return err
	}
	if b.w.volumes {
		if err := b.many(b.o.pods, func(i int) error { return b.createVolume(ctx, i) }); err != nil {
			return err
		}
	}
	informer := b.set.Informers.Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: b.seen}); err != nil {
		return err
	}
	b.set.Informers.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func (b *bench) seen(old, obj any) {
	before, pod := old.(*corev1.Pod), obj.(*corev1.Pod)
	if before.Spec.NodeName != "" || pod.Spec.NodeName == "" {
		return
	}
	b.placed.Add(1)
	if !strings.HasPrefix(pod.Name, "measured-") {
		return
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.when = append(b.when, now)
	if made, ok := b.made[pod.Name]; ok {
		b.bound[pod.Name] = now.Sub(made)
	}
}

// many calls f with 0 to n-1, many at a time.
func (b *bench) many(n int, f func(i int) error) error {
	var next atomic.Int64
	failed := make(chan error, b.o.creators)
	var group sync.WaitGroup
	for range b.o.creators {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (b *bench) create(ctx context.Context, p *corev1.Pod) error {
	return b.set.CreatePod(ctx, p)
}

// until waits for enough placed pods.
func (b *bench) until(ctx context.Context, reached func() bool) error {
	deadline := time.After(b.o.patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-b.failures:
			return fmt.Errorf("a component ended: %w", errors.Join(err))
		case <-deadline:
			return fmt.Errorf("only %d pods are placed after %v", b.placed.Load(), b.o.patience)
		case <-tick.C:
		}
	}
	return nil
}

// before makes the pods that are there when the measurement begins. Waiting for one placed pod also waits for the scheduler.
func (b *bench) before(ctx context.Context) error {
	n := max(int(b.w.before*float64(b.o.nodes)), 1)
	if err := b.many(n, func(i int) error { return b.create(ctx, newPod("before", i, b.w.beforeEach)) }); err != nil {
		return err
	}
	if err := b.many(b.w.stuck, func(i int) error { return b.create(ctx, newPod("stuck", i, b.w.stuckEach)) }); err != nil {
		return err
	}
	return b.until(ctx, func() bool { return b.placed.Load() >= int64(n) })
}

func (b *bench) measure(ctx context.Context) (*result, error) {
	pods := b.o.pods
	if b.w.most > 0 {
		pods = min(pods, int(b.w.most*float64(b.o.nodes)))
	}
	if b.w.perNode {
		pods = b.o.nodes
	}
	churning, stop := context.WithCancel(ctx)
	defer stop()
	if b.w.churn {
		go b.churn(churning)
	}
	if b.o.cpuProfile != "" {
		file, err := os.Create(b.o.cpuProfile)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	written, err := b.events(ctx)
	if err != nil {
		return nil, err
	}
	r := &result{nodes: b.o.nodes, pods: pods, events: -written, allocated: -allocated(), cpu: -b.cpu()}
	if b.scheduler != nil {
		r.schedulerCPU = -b.scheduler.CPU()
	}
	began := time.Now()
	err = b.many(pods, func(i int) error {
		p := newPod("measured", i, b.w.pod)
		if b.w.perNode {
			p = daemonPod(i)
		}
		b.mu.Lock()
		b.made[p.Name] = time.Now()
		b.mu.Unlock()
		return b.create(ctx, p)
	})
	if err == nil {
		err = b.until(ctx, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.when) >= pods })
	}
	stop()
	if err == nil {
		written, err = b.settled(ctx)
	}
	if err != nil {
		return nil, err
	}
	r.events += written
	r.allocated += allocated()
	r.cpu += b.cpu()
	r.memory = b.memory()
	if b.scheduler != nil {
		r.schedulerCPU += b.scheduler.CPU()
		r.schedulerMemory = b.scheduler.Resident()
	}
	b.sum(r, began)
	return r, nil
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// events is how many there are.
func (b *bench) events(ctx context.Context) (int64, error) {
	list, err := b.set.CoreV1().Events("default").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	n := int64(len(list.Items))
	if more := list.RemainingItemCount; more != nil {
		n += *more
	}
	return n, nil
}

// settled waits until no more events are written, which is later than the last binding, and returns how many there are. Their CPU time
// belongs to the pods that they are about.
func (b *bench) settled(ctx context.Context) (int64, error) {
	const quiet = 300 * time.Millisecond
	last, since := int64(-1), time.Now()
	for time.Since(since) < quiet {
		n, err := b.events(ctx)
		if err != nil {
			return 0, err
		}
		if n != last {
			last, since = n, time.Now()
		}
		time.Sleep(quiet / 10)
	}
	return last, nil
}

// churn creates and deletes nodes and pods that fit nowhere, one after the other.
func (b *bench) churn(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		n := newNode(1000000+i%5, b.w)
		n.Status.Allocatable = nil
		_, _ = b.set.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		p := newPod("churn", i, func(_ int, p *corev1.Pod) { ask(p, "9", "500Mi"); p.Spec.PriorityClassName = important })
		_ = b.create(ctx, p)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = b.set.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{})
		_ = b.set.CoreV1().Pods("default").Delete(ctx, p.Name, metav1.DeleteOptions{})
	}
}

// slice is how long bindings are counted for one sample of the rate: a workload takes few seconds.
const slice = 100 * time.Millisecond

// ratesOf are the pods a second in each whole slice from a begin to the last of the sorted times.
func ratesOf(when []time.Time, began time.Time) []float64 {
	rates := make([]float64, int(when[len(when)-1].Sub(began)/slice))
	for _, t := range when {
		if i := int(t.Sub(began) / slice); i < len(rates) {
			rates[i] += float64(time.Second / slice)
		}
	}
	return rates
}

// sum works out throughput and latency.
func (b *bench) sum(r *result, began time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.when, time.Time.Compare)
	end := b.when[len(b.when)-1]
	r.average = float64(r.pods) / end.Sub(began).Seconds()
	rates := ratesOf(b.when, began)
	if len(rates) == 0 {
		rates = append(rates, r.average) // there is no whole slice to count
	}
	slices.Sort(rates)
	at := func(q float64) float64 { return rates[int(q*float64(len(rates)-1))] }
	r.p50, r.p90, r.p99 = at(0.5), at(0.9), at(0.99)
	latencies := make([]time.Duration, 0, len(b.bound))
	for _, l := range b.bound {
		latencies = append(latencies, l)
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		r.latency50, r.latency99 = latencies[n/2].Round(time.Millisecond), latencies[n*99/100].Round(time.Millisecond)
	}
}

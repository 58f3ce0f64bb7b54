package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/scheduler"
	"github.com/septet-io/septet/scheduler/config"
)

type options struct {
	nodes, pods, creators int
	patience              time.Duration
}

type result struct {
	nodes, pods            int
	average, p50, p90, p99 float64 // pods a second
	latency50, latency99   time.Duration
	cpu                    time.Duration // user and system, of the whole process
	memory                 int64         // resident bytes at the end
}

// bench is one running cluster.
type bench struct {
	w      workload
	o      options
	set    *client.Set // the load's own
	mu     sync.Mutex
	made   map[string]time.Time     // creation by pod, until it is bound
	bound  map[string]time.Duration // latency by pod
	when   []time.Time              // of each binding of a measured pod
	placed atomic.Int64             // all pods with a node
}

func run(ctx context.Context, w workload, o options) (*result, error) {
	if w.nodes > 0 {
		o.nodes = int(float64(o.nodes) * w.nodes)
	}
	dir, err := os.MkdirTemp("", "bench-scheduler-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	member, err := etcd.Start(ctx, etcd.Config{DataDir: filepath.Join(dir, "etcd")})
	if err != nil {
		return nil, err
	}
	defer member.Stop()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if err := pki.EnsureSigningKey(private, public); err != nil {
		return nil, err
	}
	server, err := apiserver.Open(ctx, apiserver.Config{Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true}, apiserver.Standard{
		Address: netip.MustParseAddr("10.0.0.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		DisablePlugins: []string{"TaintNodesByCondition"}, // it would keep pods off nodes that nobody heartbeats for
		Issuers:        []string{"https://kubernetes.default.svc"}, SigningKeyFile: private, KeyFiles: []string{public},
	})
	if err != nil {
		return nil, err
	}
	failures := make(chan error, 3)
	running.Go(func() { failures <- server.Run(ctx) })
	running.Go(func() { failures <- server.Bootstrap(ctx) })
	select {
	case <-server.Bootstrapped():
	case err := <-failures:
		return nil, err
	}
	as := func(user string, groups ...string) (*client.Set, error) {
		return server.Loopback.As(server.Local(resource.User{Name: user, Groups: append(groups, "system:authenticated")}))
	}
	b := &bench{w: w, o: o, made: map[string]time.Time{}, bound: map[string]time.Duration{}}
	if b.set, err = as("bench", "system:masters"); err != nil {
		return nil, err
	}
	component := config.Default()
	component.LeaderElection.LeaderElect = ptr.To(false)
	schedulers, err := as("system:kube-scheduler")
	if err != nil {
		return nil, err
	}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	running.Go(func() { failures <- scheduler.Run(ctx, scheduler.Config{Client: schedulers, Component: component}) })
	return b.measure(ctx, failures)
}

// prepare makes the nodes and watches the pods.
func (b *bench) prepare(ctx context.Context) error {
	if err := b.each(b.o.nodes, func(i int) error {
		_, err := b.set.CoreV1().Nodes().Create(ctx, newNode(i, &b.w), metav1.CreateOptions{})
		return err
	}); err != nil {
		return err
	}
	if _, err := b.set.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		return err
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

// each calls f with 0 to n-1, many at a time.
func (b *bench) each(n int, f func(i int) error) error {
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
	_, err := b.set.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{})
	return err
}

// until waits for enough placed pods.
func (b *bench) until(ctx context.Context, failures chan error, reached func() bool) error {
	deadline := time.After(b.o.patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failures:
			return fmt.Errorf("a component ended: %w", err)
		case <-deadline:
			return fmt.Errorf("only %d pods are placed after %v", b.placed.Load(), b.o.patience)
		case <-tick.C:
		}
	}
	return nil
}

func (b *bench) measure(ctx context.Context, failures chan error) (*result, error) {
	before := int(b.w.before * float64(b.o.nodes))
	if err := b.each(before, func(i int) error { return b.create(ctx, newPod("before", i, b.w.beforeEach)) }); err != nil {
		return nil, err
	}
	if err := b.each(b.w.stuck, func(i int) error { return b.create(ctx, newPod("stuck", i, b.w.stuckEach)) }); err != nil {
		return nil, err
	}
	if err := b.until(ctx, failures, func() bool { return b.placed.Load() >= int64(before) }); err != nil {
		return nil, err
	}
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
	cpu, began := cpuTime(), time.Now()
	err := b.each(pods, func(i int) error {
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
		err = b.until(ctx, failures, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.when) >= pods })
	}
	if err != nil {
		return nil, err
	}
	return b.sum(pods, began, cpuTime()-cpu), nil
}

// churn creates and deletes nodes and pods that fit nowhere, one after the other.
func (b *bench) churn(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		n := newNode(1000000+i%5, &b.w)
		n.Status.Allocatable = nil
		_, _ = b.set.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		p := newPod("churn", i, func(_ int, p *corev1.Pod) { ask(p, "9", "500Mi"); p.Spec.Priority = ptr.To[int32](10) })
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

func (b *bench) sum(pods int, began time.Time, cpu time.Duration) *result {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.SortFunc(b.when, time.Time.Compare)
	r := &result{nodes: b.o.nodes, pods: pods, cpu: cpu.Round(10 * time.Millisecond), memory: resident()}
	end := b.when[len(b.when)-1]
	r.average = float64(pods) / end.Sub(began).Seconds()
	perSecond := map[int]int{}
	for _, t := range b.when {
		perSecond[int(t.Sub(began)/time.Second)]++
	}
	full := int(end.Sub(began) / time.Second)
	var rates []float64
	for s := range max(full, 1) {
		rates = append(rates, float64(perSecond[s]))
	}
	slices.Sort(rates)
	at := func(q float64) float64 { return rates[int(q*float64(len(rates)-1))] }
	r.p50, r.p90, r.p99 = at(0.5), at(0.9), at(0.99)
	var latencies []time.Duration
	for _, l := range b.bound {
		latencies = append(latencies, l)
	}
	slices.Sort(latencies)
	if n := len(latencies); n > 0 {
		r.latency50, r.latency99 = latencies[n/2].Round(time.Millisecond), latencies[n*99/100].Round(time.Millisecond)
	}
	return r
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the process's memory in bytes, 0 where /proc does not tell.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

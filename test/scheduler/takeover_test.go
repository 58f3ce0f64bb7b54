// Package scheduler tests the scheduler together with the real API server.
package scheduler

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/scheduler"
	"github.com/septet-io/septet/scheduler/config"
)

// Two schedulers stand for one lease on the real API server; when the leader ends, the other goes on where it was: nothing is lost and
// nothing is bound twice. What was done is in the journal and in the metrics.
func TestAnotherTakesOver(t *testing.T) {
	t.Parallel()
	api := complete(t)
	set := as(t, api, "admin", "system:masters")
	ctx := context.Background()
	for i := range 4 {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("8"), corev1.ResourceMemory: quantity.MustParse("32Gi"), corev1.ResourcePods: quantity.MustParse("110")}
		n.Status.Capacity = n.Status.Allocatable
		if _, err := set.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ring := journal.New(0)
	registry := prometheus.NewRegistry()
	first, endFirst := stand(t, api, "first", ring, registry)
	second, _ := stand(t, api, "second", nil, nil)
	var leader string
	select {
	case <-first:
		leader = "first"
	case <-second:
		leader = "second"
	}
	create(t, set, "a", 8)
	placed(t, set, 8)
	if leader == "first" {
		// A binding is noted when its answer is there, a moment after the watch shows it.
		bindings := func() int { return len(ring.Select(func(r *journal.Record) bool { return r.Step == "bind" })) }
		for deadline := time.Now().Add(30 * time.Second); bindings() < 8 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		endFirst()
		if n := bindings(); n != 8 {
			t.Errorf("%d bindings in the journal", n)
		}
		checkMetrics(t, registry)
		create(t, set, "b", 8)
		<-second
		placed(t, set, 16)
	}
	list, err := set.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]int{}
	for i := range list.Items {
		used[list.Items[i].Spec.NodeName]++
	}
	for name, n := range used {
		if n > 8 {
			t.Errorf("%s has %d pods", name, n)
		}
	}
}

// complete starts a server with RBAC, admission and the roles that every cluster has, on an etcd of its own.
func complete(t *testing.T) *apiserver.Server {
	t.Helper()
	dir := t.TempDir()
	member, err := etcd.Start(context.Background(), etcd.Config{DataDir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	private, public := filepath.Join(dir, "sa.key"), filepath.Join(dir, "sa.pub")
	if err := pki.EnsureSigningKey(private, public); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := apiserver.Open(ctx, apiserver.Config{Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, CompactEvery: -1}, apiserver.Standard{
		Address: netip.MustParseAddr("10.0.0.1"), Port: 6443, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		Issuers: []string{"https://kubernetes.default.svc"}, SigningKeyFile: private, KeyFiles: []string{public},
		DisablePlugins: []string{"TaintNodesByCondition", "ServiceAccount"},
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{server.Run, server.Bootstrap} {
		running.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	<-server.Bootstrapped()
	return server
}

// as returns the clients of a user in this process.
func as(t *testing.T, api *apiserver.Server, user string, groups ...string) *client.Set {
	t.Helper()
	set, err := client.New(api.Local(resource.User{Name: user, Groups: append(groups, "system:authenticated")}))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// stand starts a candidate; the channel is closed when it leads.
func stand(t *testing.T, api *apiserver.Server, name string, ring *journal.Ring, registry prometheus.Registerer) (leading chan struct{}, end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	leading = make(chan struct{})
	done := make(chan error, 1)
	component := config.Default()
	set := as(t, api, "system:kube-scheduler")
	go func() {
		done <- scheduler.Run(ctx, scheduler.Config{Client: set, Component: component, Identity: name, Journal: ring, Metrics: registry,
			Leading: func(is bool) {
				if is {
					close(leading)
				}
			}})
	}()
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Cleanup(end)
	return leading, end
}

func create(t *testing.T, set *client.Set, prefix string, n int) {
	t.Helper()
	for i := range n {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s%d", prefix, i)}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "app:1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("1")}}}}
		if _, err := set.CoreV1().Pods("default").Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// placed waits, by a watch, until n pods have a node.
func placed(t *testing.T, set *client.Set, n int) {
	t.Helper()
	watch, err := set.CoreV1().Pods("default").Watch(context.Background(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	have := map[string]bool{}
	for e := range watch.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok && p.Spec.NodeName != "" {
			if have[p.Name] = true; len(have) == n {
				return
			}
		}
	}
	t.Fatal("the watch ended")
}

// checkMetrics compares names, kinds and labels with upstream's list of stable metrics, where that is at hand.
func checkMetrics(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	folder := os.Getenv("SEPTET_REFERENCE")
	if folder == "" {
		folder = "../../shared/reference"
	}
	data, err := os.ReadFile(filepath.Join(folder, "stable-metrics-list.yaml"))
	if err != nil {
		return // no reference here
	}
	var list []struct{ Name, Subsystem, Type string }
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for _, f := range families {
		have[f.GetName()] = f.GetType().String()
	}
	for _, m := range list {
		if m.Subsystem != "scheduler" {
			continue
		}
		name := "scheduler_" + m.Name
		got, ok := have[name]
		if !ok && exercised[m.Name] {
			t.Errorf("%s is missing", name)
		} else if ok && got != strings.ToUpper(m.Type) {
			t.Errorf("%s is a %s, not a %s", name, got, m.Type)
		}
	}
}

// exercised are the metrics that a few plain pods make appear.
var exercised = map[string]bool{"pending_pods": true, "schedule_attempts_total": true, "scheduling_attempt_duration_seconds": true, "pod_scheduling_attempts": true,
	"queue_incoming_pods_total": true, "preemption_attempts_total": true, "preemption_victims": true, "pod_scheduling_sli_duration_seconds": true, "goroutines": true,
	"framework_extension_point_duration_seconds": true}

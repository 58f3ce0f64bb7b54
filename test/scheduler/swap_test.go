package scheduler

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
	"github.com/septet-io/septet/scheduler"
	"github.com/septet-io/septet/scheduler/config"
	testapi "github.com/septet-io/septet/test/apiserver"
	"github.com/septet-io/septet/test/peer"
)

// The variables that name upstream's programs. Without them the tests that need one are skipped.
const (
	peerScheduler = "SEPTET_PEER_SCHEDULER"
	peerServer    = "SEPTET_PEER_APISERVER"
)

func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s does not name a program", variable)
	}
	return path
}

// Upstream's scheduler does its work against our server as it does against its own.
func TestUpstreamsSchedulerOnOurServer(t *testing.T) {
	t.Parallel()
	binary := program(t, peerScheduler)
	server := testapi.StartComplete(t, func(s *apiserver.Standard) { s.DisablePlugins = append(s.DisablePlugins, "TaintNodesByCondition") })
	kubeconfig := filepath.Join(t.TempDir(), "scheduler.kubeconfig")
	if _, err := server.CA.EnsureKubeconfig(kubeconfig, server.URL, "test", pki.Leaf{CommonName: "system:kube-scheduler"}); err != nil {
		t.Fatal(err)
	}
	server.Namespace("default")
	p, err := peer.Scheduler(t.TempDir(), binary, kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	story(t, server.Client())
}

// Our scheduler, alone and with leader election, works against upstream's server.
func TestOurSchedulerOnUpstreamsServer(t *testing.T) {
	t.Parallel()
	binary := program(t, peerServer)
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	address := url.URL{Scheme: "http", Host: listener.Addr().String()}
	member, err := etcd.Start(context.Background(), etcd.Config{DataDir: filepath.Join(dir, "etcd"), UnsafeNoFsync: true, ListenClient: []url.URL{address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Stop)
	ca, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "test")
	if err != nil {
		t.Fatal(err)
	}
	ready, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	p, server, err := peer.APIServer(ready, dir, binary, address.String(), ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	as := func(user string, groups ...string) *client.Set {
		file := filepath.Join(dir, user+".kubeconfig")
		if _, err := ca.EnsureKubeconfig(file, server, "test", pki.Leaf{CommonName: user, Organizations: groups}); err != nil {
			t.Fatal(err)
		}
		set, err := client.FromKubeconfig(file, "", user)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ours := as("system:kube-scheduler")
	go func() { done <- scheduler.Run(ctx, scheduler.Config{Client: ours, Component: config.Default()}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	story(t, as("admin", "system:masters"))
}

// story is what a scheduler must do on any server: place pods and say so, tell why it does not, keep to gates, and make room.
func story(t *testing.T, set *client.Set) {
	t.Helper()
	ctx := context.Background()
	for _, name := range []string{"n0", "n1"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("2"), corev1.ResourceMemory: quantity.MustParse("8Gi"), corev1.ResourcePods: quantity.MustParse("110")}
		n.Status.Capacity = n.Status.Allocatable
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		if _, err := set.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	add := func(name, cpu string, change func(*corev1.Pod)) {
		t.Helper()
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "story"}}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "app:1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse(cpu)}}}}
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
		if change != nil {
			change(p)
		}
		if _, err := set.CoreV1().Pods("default").Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	apart := func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "story"}}}}}}
	}
	add("one", "1", apart)
	add("two", "1", apart)
	one, two := await(t, set, "one", bound), await(t, set, "two", bound)
	if one.Spec.NodeName == two.Spec.NodeName {
		t.Errorf("both are on %s", one.Spec.NodeName)
	}
	add("three", "1", apart)
	three := await(t, set, "three", refused)
	const why = "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
	for _, c := range three.Status.Conditions {
		if c.Reason != corev1.PodReasonUnschedulable || len(c.Message) < len(why) || c.Message[:len(why)] != why {
			t.Errorf("condition %+v", c)
		}
	}
	add("gated", "100m", func(p *corev1.Pod) {
		p.Labels, p.Spec.SchedulingGates = nil, []corev1.PodSchedulingGate{{Name: "example.com/gate"}}
	})
	await(t, set, "gated", func(p *corev1.Pod) bool {
		return len(p.Status.Conditions) > 0 && p.Status.Conditions[0].Reason == corev1.PodReasonSchedulingGated
	})
	// Important pods take the place of others.
	if _, err := set.SchedulingV1().PriorityClasses().Create(ctx, priorityClass(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	add("vip", "2", func(p *corev1.Pod) { p.Labels, p.Spec.PriorityClassName = nil, "vip" })
	vip := await(t, set, "vip", bound)
	list, err := set.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: "app=story"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if p := &list.Items[i]; p.Spec.NodeName == vip.Spec.NodeName {
			t.Errorf("%s is still on %s", p.Name, p.Spec.NodeName)
		}
	}
	for reason, name := range map[string]string{"Scheduled": "one", "FailedScheduling": "three"} {
		event(t, set, name, reason)
	}
}

func priorityClass() *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "vip"}, Value: 1000}
}

func bound(p *corev1.Pod) bool { return p.Spec.NodeName != "" }

func refused(p *corev1.Pod) bool {
	return len(p.Status.Conditions) > 0 && p.Status.Conditions[0].Type == corev1.PodScheduled && p.Status.Conditions[0].Status == corev1.ConditionFalse
}

// await watches a pod until something holds of it.
func await(t *testing.T, set *client.Set, name string, holds func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w, err := set.CoreV1().Pods("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok && holds(p) {
			return p
		}
	}
	t.Fatalf("pod %s: not within two minutes", name)
	return nil
}

// event watches for an event about a pod.
func event(t *testing.T, set *client.Set, pod, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w, err := set.EventsV1().Events("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e, ok := e.Object.(*eventsv1.Event); ok && e.Regarding.Name == pod && e.Reason == reason {
			return
		}
	}
	t.Errorf("no event %s of pod %s", reason, pod)
}

package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	criFake "github.com/septet-io/septet/kubelet/cri/fake"
)

// bench is a kubelet on a fake runtime, with client-go's fake API.
type bench struct {
	t       *testing.T
	api     *fake.Clientset
	runtime *criFake.Server
	config  Config
	stop    func()
}

// newBench starts a kubelet. Nothing of it leaves the test's folder.
func newBench(t *testing.T, runtimeConfig criFake.Config, objects ...func(*bench)) *bench {
	dir, err := os.MkdirTemp("", "kubelet") // sockets need short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	rt, err := criFake.Listen(dir, runtimeConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	resolv := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 192.0.2.53\nsearch example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientset()
	var serial atomic.Int64
	api.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if pod := action.(clienttesting.CreateAction).GetObject().(*v1.Pod); pod.UID == "" {
			pod.UID = types.UID(fmt.Sprint("made-", serial.Add(1)))
		}
		return false, nil, nil // and on to the store
	})
	b := &bench{t: t, api: api, runtime: rt}
	b.config = Config{
		Client:   &client.Set{Interface: api, Informers: informers.NewSharedInformerFactory(api, 0)},
		NodeName: "node-1", RuntimeEndpoint: rt.Endpoint, RootDir: filepath.Join(dir, "kubelet"), Journal: journal.New(0),
		Configuration: &kubeletconfig.KubeletConfiguration{
			EnableServer: ptr.To(false), HealthzPort: ptr.To[int32](0), CgroupsPerQOS: ptr.To(false), EnforceNodeAllocatable: []string{},
			FailSwapOn: ptr.To(false), FailCgroupV1: ptr.To(false), ResolverConfig: &resolv, ClusterDNS: []string{"10.96.0.10"}, ClusterDomain: "cluster.local",
			StaticPodPath: filepath.Join(dir, "manifests"), EvictionHard: map[string]string{"memory.available": "0"},
		},
	}
	for _, f := range objects {
		f(b)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs the kubelet, again after stop.
func (b *bench) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	b.config.Client.Informers = informers.NewSharedInformerFactory(b.api, 0)
	go func() { done <- Run(ctx, b.config) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("kubelet ended: %v", err)
		}
		b.stop = func() {}
	}
}

// pod makes a pod that is bound to the node.
func (b *bench) pod(name string, change func(*v1.Pod)) *v1.Pod {
	b.t.Helper()
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name)},
		Spec: v1.PodSpec{
			NodeName: "node-1", RestartPolicy: v1.RestartPolicyAlways, TerminationGracePeriodSeconds: ptr.To[int64](5),
			Containers: []v1.Container{{Name: "main", Image: "app:1", TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: v1.TerminationMessageReadFile}},
		},
		Status: v1.PodStatus{Phase: v1.PodPending},
	}
	if change != nil {
		change(pod)
	}
	created, err := b.api.CoreV1().Pods("default").Create(context.Background(), pod, metav1.CreateOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return created
}

// patience is how long a test waits before it gives up; it is no measure of anything.
const patience = 20 * time.Second

// until waits until the pod is as it should be, and returns it.
func (b *bench) until(name, what string, is func(*v1.Pod) bool) *v1.Pod {
	b.t.Helper()
	var last *v1.Pod
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		pod, err := b.api.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
		if err == nil && is(pod) {
			return pod
		}
		if apierrors.IsNotFound(err) && is(nil) {
			return nil
		}
		last = pod
		time.Sleep(2 * time.Millisecond)
	}
	b.t.Fatalf("pod %s never was %s: %s", name, what, describe(last))
	return nil
}

func describe(pod *v1.Pod) string {
	if pod == nil {
		return "it does not exist"
	}
	return fmt.Sprintf("%+v", pod.Status)
}

func ready(pod *v1.Pod) bool {
	return pod != nil && pod.Status.Phase == v1.PodRunning && conditionOf(pod, v1.PodReady) == v1.ConditionTrue
}

func conditionOf(pod *v1.Pod, t v1.PodConditionType) v1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == t {
			return c.Status
		}
	}
	return ""
}

func idOf(pod *v1.Pod) string { return pod.Status.ContainerStatuses[0].ContainerID[len("fake://"):] }

// delete asks for a pod's deletion as the API server records it. Client-go's fake
// deletes at once, so the mark is set by hand.
func (b *bench) delete(name string, grace int64) {
	b.t.Helper()
	pod, err := b.api.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	now := metav1.Now()
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &now, &grace
	if _, err := b.api.CoreV1().Pods("default").Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func TestANodeRegistersAndBecomesReady(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		node, err := b.api.CoreV1().Nodes().Get(context.Background(), "node-1", metav1.GetOptions{})
		if err == nil {
			for _, c := range node.Status.Conditions {
				if c.Type == v1.NodeReady && c.Status == v1.ConditionTrue && node.Labels[v1.LabelHostname] == "node-1" && len(node.Status.Addresses) == 2 {
					return
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the node never was ready")
}

func TestAPodRunsIsRestartedAndDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t, criFake.Config{})
	b.pod("web", nil)
	pod := b.until("web", "ready", ready)
	if pod.Status.PodIP == "" || pod.Status.HostIP == "" || pod.Status.StartTime == nil || pod.Status.QOSClass != v1.PodQOSBestEffort {
		t.Errorf("status lacks something: %s", describe(pod))
	}
	for _, want := range []v1.PodConditionType{v1.PodReadyToStartContainers, v1.PodInitialized, v1.ContainersReady, v1.PodScheduled} {
		if conditionOf(pod, want) != v1.ConditionTrue {
			t.Errorf("condition %s is %q", want, conditionOf(pod, want))
		}
	}
	first := idOf(pod)
	if !b.runtime.Kill(first, 137, "OOMKilled") {
		t.Fatal("the container does not run")
	}
	pod = b.until("web", "restarted", func(p *v1.Pod) bool { return ready(p) && p.Status.ContainerStatuses[0].RestartCount == 1 })
	last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if last == nil || last.Reason != "OOMKilled" || last.ExitCode != 137 || last.ContainerID != "fake://"+first {
		t.Errorf("last state is %+v", last)
	}
	b.delete("web", 1)
	b.until("web", "gone", func(p *v1.Pod) bool { return p == nil })
	if _, err := os.Stat(filepath.Join(b.config.RootDir, "pods", "uid-web")); err == nil {
		eventually(t, "the pod's folder is gone", func() bool {
			_, err := os.Stat(filepath.Join(b.config.RootDir, "pods", "uid-web"))
			return os.IsNotExist(err)
		})
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if is() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

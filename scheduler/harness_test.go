package scheduler

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/scheduler/config"
)

// cluster is a scheduler running against a client-go fake that binds pods as the API server does.
type cluster struct {
	*fake.Clientset
	t     *testing.T
	ctx   context.Context
	mu    sync.Mutex
	binds map[string]int // by pod name
	// refuse, when set, may fail a binding.
	refuse func(pod string) error
	// lose, when set, may lose the answer to a binding that was made.
	lose func(pod string) error
}

// fakeAPI prepares the fake without a scheduler.
func fakeAPI(t *testing.T, objects ...runtime.Object) *cluster {
	c := &cluster{Clientset: fake.NewClientset(objects...), t: t, binds: map[string]int{}}
	c.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "binding" {
			return false, nil, nil
		}
		binding := action.(clienttesting.CreateAction).GetObject().(*corev1.Binding)
		return true, binding, c.bind(binding)
	})
	return c
}

func (c *cluster) bind(b *corev1.Binding) error {
	c.mu.Lock()
	c.binds[b.Name]++
	refuse, lose := c.refuse, c.lose
	c.mu.Unlock()
	if refuse != nil {
		if err := refuse(b.Name); err != nil {
			return err
		}
	}
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	object, err := c.Tracker().Get(gvr, b.Namespace, b.Name)
	if err != nil {
		return err
	}
	pod := object.(*corev1.Pod).DeepCopy()
	if pod.Spec.NodeName != "" {
		return fmt.Errorf("pod %s is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	}
	pod.Spec.NodeName = b.Target.Name
	if err := c.Tracker().Update(gvr, pod, b.Namespace); err != nil || lose == nil {
		return err
	}
	return lose(b.Name)
}

// start runs a scheduler without leader election until the test ends.
func (c *cluster) start(change ...func(*Config)) {
	c.t.Helper()
	component := config.Default()
	component.LeaderElection.LeaderElect = ptr.To(false)
	config := Config{Client: &client.Set{Interface: c, Informers: informers.NewSharedInformerFactory(c, 0)}, Component: component}
	for _, f := range change {
		f(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.ctx = ctx
	done := make(chan error, 1)
	go func() { done <- Run(ctx, config) }()
	c.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("scheduler: %v", err)
		}
	})
}

func withComponent(change func(*schedulerv1.KubeSchedulerConfiguration)) func(*Config) {
	return func(c *Config) { change(c.Component) }
}

// until waits for a condition that is reached by events, not by time passing.
func (c *cluster) until(what string, reached func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !reached() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (c *cluster) pod(name string) *corev1.Pod {
	c.t.Helper()
	pod, err := c.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return pod
}

func (c *cluster) add(pods ...*corev1.Pod) {
	c.t.Helper()
	for _, p := range pods {
		if _, err := c.CoreV1().Pods(p.Namespace).Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// nodeOf waits until the pod has a node and returns it.
func (c *cluster) nodeOf(name string) (node string) {
	c.t.Helper()
	c.until("pod "+name+" gets a node", func() bool { node = c.pod(name).Spec.NodeName; return node != "" })
	return node
}

// refusal waits until the pod's condition says that it is not scheduled and returns the message.
func (c *cluster) refusal(name string) (message string) {
	c.t.Helper()
	c.until("pod "+name+" is refused", func() bool {
		for _, condition := range c.pod(name).Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
				message = condition.Message
				return true
			}
		}
		return false
	})
	return message
}

// event waits for an event about a pod and returns its note.
func (c *cluster) event(pod, reason string) (note string) {
	c.t.Helper()
	c.until("event "+reason+" of "+pod, func() bool {
		list, err := c.EventsV1().Events("default").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		for i := range list.Items {
			if e := &list.Items[i]; e.Regarding.Name == pod && e.Reason == reason {
				note = e.Note
				return true
			}
		}
		return false
	})
	return note
}

type nodeOption func(*corev1.Node)

func node(name, cpu, memory string, options ...nodeOption) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse("110"),
	}
	n.Status.Capacity = n.Status.Allocatable
	for _, o := range options {
		o(n)
	}
	return n
}

func labeled(key, value string) nodeOption {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

func tainted(key, value string, effect corev1.TaintEffect) nodeOption {
	return func(n *corev1.Node) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect})
	}
}

type podOption func(*corev1.Pod)

func pod(name, cpu, memory string, options ...podOption) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{}}}
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	requests := corev1.ResourceList{}
	if cpu != "" {
		requests[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		requests[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "app:1", Resources: corev1.ResourceRequirements{Requests: requests}}}
	for _, o := range options {
		o(p)
	}
	return p
}

func priority(n int32) podOption { return func(p *corev1.Pod) { p.Spec.Priority = &n } }

func podLabel(key, value string) podOption { return func(p *corev1.Pod) { p.Labels[key] = value } }

func on(node string) podOption { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

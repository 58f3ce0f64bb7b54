// Package node keeps this machine's Node in the API: it registers it, sends its
// heartbeats (the node's status when it changed, and a Lease), knows what the
// machine has, and gets the certificates by which it is known.
package node

import (
	"context"
	"net"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
)

// Config of a Node. Client, Name, Runtime, Machine and IPs are required.
type Config struct {
	Client   kubernetes.Interface
	Recorder record.EventRecorder
	Runtime  cri.Runtime
	Name     string
	Hostname string
	// IPs of the node, the primary one first.
	IPs []net.IP
	// Register says that the Node is to be made if there is none.
	Register       bool
	Labels         map[string]string
	Taints         []v1.Taint
	ProviderID     string
	CloudExternal  bool
	KubeletVersion string
	Port           int32
	MaxImages      int32
	Machine        *Machine
	// MaxPods, Reserved and EvictionReserve make allocatable from capacity.
	MaxPods         int32
	Reserved        v1.ResourceList
	EvictionReserve v1.ResourceList
	// Extended are resources of device plugins; nil for none.
	Extended func() (capacity, allocatable v1.ResourceList)
	// Pressure returns the node's pressure conditions: MemoryPressure, DiskPressure, PIDPressure.
	Pressure func() []v1.NodeCondition
	// Problems are what keeps the node from being ready, besides the runtime.
	Problems func() []string
	// Check is how often the status is looked at, Report how often it is sent even
	// if it did not change, LeaseDuration how long a Lease holds.
	Check, Report, LeaseDuration time.Duration
	// PodCIDRChanged is told of the node's pod subnets, comma separated.
	PodCIDRChanged func(podCIDR string)
	// Changed is told when the Node changed in the API.
	Changed func(*v1.Node)
}

// Node is this machine in the API.
type Node struct {
	config Config
	kick   chan struct{}

	mu sync.Mutex
	// api is the Node as last seen.
	api *v1.Node
	// reported is the status last sent, at reportedAt.
	reported   *v1.NodeStatus
	reportedAt time.Time
	podCIDR    string
	runtime    runtimeState
	synced     chan struct{}
	once       sync.Once
	began      time.Time
}

// New returns a Node; nothing is asked or sent yet.
func New(config Config) *Node {
	return &Node{config: config, kick: make(chan struct{}, 1), synced: make(chan struct{}), began: time.Now()}
}

// Run registers the node and keeps it current until ctx ends.
func (n *Node) Run(ctx context.Context) {
	if n.config.Recorder != nil {
		n.config.Recorder.Event(n.Reference(), v1.EventTypeNormal, "Starting", "Starting kubelet.")
	}
	go n.watch(ctx)
	n.look(ctx) // before the first status, which then may say that all is well
	n.register(ctx)
	if ctx.Err() != nil {
		return
	}
	go n.renewLease(ctx)
	n.heartbeat(ctx)
}

// Kick has the status looked at now.
func (n *Node) Kick() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// Get returns the Node as last seen in the API, nil before the first time.
func (n *Node) Get() *v1.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.api
}

// Synced is closed once the Node was seen in the API.
func (n *Node) Synced() <-chan struct{} { return n.synced }

// Reference is the object of events about the node.
func (n *Node) Reference() *v1.ObjectReference {
	return &v1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: n.config.Name, UID: types.UID(n.config.Name)}
}

// watch follows the Node in the API: only this one, as it may see no other.
func (n *Node) watch(ctx context.Context) {
	nodes := n.config.Client.CoreV1().Nodes()
	selector := fields.OneTermEqualSelector("metadata.name", n.config.Name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return nodes.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return nodes.Watch(ctx, o)
		},
	}
	seen := func(obj any) {
		if node, ok := obj.(*v1.Node); ok && node.Name == n.config.Name {
			n.saw(ctx, node)
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(lw, n.config.Client),
		ObjectType:    &v1.Node{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    seen,
			UpdateFunc: func(_, obj any) { seen(obj) },
		},
	})
	informer.RunWithContext(ctx)
}

// saw takes the Node as it is in the API.
func (n *Node) saw(ctx context.Context, node *v1.Node) {
	n.mu.Lock()
	n.api = node
	cidr := podCIDRs(node)
	fresh := cidr != "" && cidr != n.podCIDR
	n.podCIDR = cidr
	n.mu.Unlock()
	n.once.Do(func() { close(n.synced) })
	if fresh {
		if err := n.config.Runtime.UpdatePodCIDR(ctx, cidr); err != nil {
			klog.FromContext(ctx).Error(err, "Could not tell the runtime the node's pod subnet", "podCIDR", cidr)
		}
		if n.config.PodCIDRChanged != nil {
			n.config.PodCIDRChanged(cidr)
		}
		n.Kick()
	}
	if n.config.Changed != nil {
		n.config.Changed(node)
	}
}

func podCIDRs(node *v1.Node) string {
	list := node.Spec.PodCIDR
	for i, cidr := range node.Spec.PodCIDRs {
		if i == 0 {
			list = cidr
		} else {
			list += "," + cidr
		}
	}
	return list
}

package kubelet

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/admit"
	"github.com/septet-io/septet/kubelet/cgroup"
	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/device"
	"github.com/septet-io/septet/kubelet/evict"
	"github.com/septet-io/septet/kubelet/image"
	"github.com/septet-io/septet/kubelet/node"
	"github.com/septet-io/septet/kubelet/pod"
	"github.com/septet-io/septet/kubelet/probe"
	"github.com/septet-io/septet/kubelet/source"
	"github.com/septet-io/septet/kubelet/spec"
	"github.com/septet-io/septet/kubelet/status"
	"github.com/septet-io/septet/kubelet/volume"
	"github.com/septet-io/septet/kubelet/volume/csi"
)

// Kubelet is a running node agent.
type Kubelet struct {
	config   Config
	runtime  cri.Runtime
	remote   *cri.Remote
	node     *node.Node
	machine  *node.Machine
	host     *pod.Host
	writer   *status.Writer
	prober   *probe.Prober
	images   *image.Images
	volumes  *volume.Volumes
	drivers  *csi.Drivers // of storage that has registered on this node
	cgroups  *cgroup.Tree
	objects  *objectStore
	book     *admit.Book
	userIDs  *admit.UserIDs
	evictor  *evict.Watcher
	unused   *image.Collector
	devices  *device.Devices
	services corelisters.ServiceLister
	events   record.EventRecorder
	began    time.Time

	mu sync.Mutex
	// pods by uid: all that belong here, or still have something here.
	pods map[types.UID]*entry
	// mirrors are the API's mirror pods by namespace/name.
	mirrors map[string]*v1.Pod
	// next are static pods that wait until another of their name is gone.
	next map[string]*v1.Pod
	// found is what the runtime held when the kubelet started.
	found map[types.UID]*cri.Pod
	// synced sources have told of all their pods, of which there are so many.
	synced  map[string]bool
	sources int
	ctx     context.Context
}

// entry is one pod of the node.
type entry struct {
	source string
	// pod as its source gives it, given with the resources that it was given.
	pod, given *v1.Pod
	worker     *pod.Worker
	rejected   bool
	pending    *v1.PodCondition
	// removed says that its source does not have it any more.
	removed bool
}

// Run runs a kubelet until ctx ends. Containers keep running then; a later Run
// takes them over. An error says what keeps it from running at all.
func Run(ctx context.Context, config Config) error {
	config, err := config.complete()
	if err != nil {
		return err
	}
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("kubelet").WithValues("node", config.NodeName))
	// What is started here ends with this function, whatever the reason.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	k := &Kubelet{
		config: config, began: time.Now(), ctx: ctx,
		pods: map[types.UID]*entry{}, mirrors: map[string]*v1.Pod{}, next: map[string]*v1.Pod{}, synced: map[string]bool{},
	}
	if err := k.build(ctx); err != nil {
		return err
	}
	defer k.close()
	listener, err := k.listen()
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	k.serve(ctx, listener, failed)
	go k.node.Run(ctx)
	if err := k.takeOver(ctx); err != nil {
		return err
	}
	k.startSources(ctx)
	go cri.Follow(ctx, k.runtime, k)
	go k.runDevices(ctx)
	go k.runPlugins(ctx)
	k.housekeeping(ctx)
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// takeOver waits for the runtime and finds out what it holds already.
func (k *Kubelet) takeOver(ctx context.Context) error {
	wait := 10 * time.Millisecond
	for {
		version, err := k.runtime.Version(ctx)
		if err == nil {
			k.host.RuntimeName = version.GetRuntimeName()
			if k.found, err = cri.InspectAll(ctx, k.runtime); err == nil {
				break
			}
		}
		klog.FromContext(ctx).V(1).Info("Waiting for the container runtime", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Second)
	}
	if err := k.checkDriver(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(podsDir(k.config.RootDir))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("pods' folders: %w", err)
	}
	var uids []types.UID
	for _, e := range entries {
		uids = append(uids, types.UID(e.Name()))
	}
	return k.userIDs.Load(uids)
}

// startSources begins to listen to where pods come from.
func (k *Kubelet) startSources(ctx context.Context) {
	c := k.config.Configuration
	k.sources = 1
	if c.StaticPodPath != "" {
		k.sources++
		go source.WatchFolder(ctx, c.StaticPodPath, k.config.NodeName, c.FileCheckFrequency.Duration, preparePod, k)
	}
	if c.StaticPodURL != "" {
		k.sources++
		go source.PollURL(ctx, c.StaticPodURL, c.StaticPodURLHeader, k.config.NodeName, c.HTTPCheckFrequency.Duration, preparePod, k)
	}
	go func() {
		// The API's pods are judged by the node's labels, which must be known.
		select {
		case <-k.node.Synced():
			source.WatchAPI(ctx, k.config.Client.Interface, k.config.NodeName, k)
		case <-ctx.Done():
		}
	}()
}

// close frees what does not end with the context.
func (k *Kubelet) close() {
	k.volumes.Close()
	k.objects.store.Close()
	k.remote.Close()
}

// Changed implements cri.Watcher.
func (k *Kubelet) Changed(c cri.Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.pods[c.Pod]; e != nil && e.worker != nil {
		e.worker.Changed(c)
		return
	}
	if c.Pod != "" || c.Deleted {
		return
	}
	// An event that does not say whose it is: all look.
	for _, e := range k.pods {
		if e.worker != nil {
			e.worker.Changed(c)
		}
	}
}

// Resync implements cri.Watcher.
func (k *Kubelet) Resync() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.pods {
		if e.worker != nil {
			e.worker.Resync()
		}
	}
	k.node.Kick()
}

// probed is told of a probe's new result.
func (k *Kubelet) probed(uid types.UID) {
	if w := k.worker(uid); w != nil {
		w.Kick()
	}
}

// retry is told that what a pod lacked may be there now.
func (k *Kubelet) retry(uid types.UID) {
	if w := k.worker(uid); w != nil {
		w.RetryNow()
	}
}

func (k *Kubelet) worker(uid types.UID) *pod.Worker {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.pods[uid]; e != nil {
		return e.worker
	}
	return nil
}

// target is the API's object for a pod, for its status.
func (k *Kubelet) target(uid types.UID) *v1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.pods[uid]
	switch {
	case e == nil || e.removed:
		return nil
	case e.source != source.API:
		mirror := k.mirrors[fullName(e.pod)]
		if mirror == nil || !source.MirrorOf(e.pod, mirror) {
			return nil
		}
		return mirror
	}
	return e.pod
}

func fullName(pod *v1.Pod) string { return pod.Namespace + "/" + pod.Name }

// features of a runtime handler.
func (k *Kubelet) features(handler string) pod.Features {
	for _, h := range k.node.Handlers() {
		if h.Name == handler && h.Features != nil {
			return pod.Features{RecursiveReadOnly: isTrue(h.Features.RecursiveReadOnlyMounts), UserNamespaces: isTrue(h.Features.UserNamespaces)}
		}
	}
	return pod.Features{}
}

func isTrue(b *bool) bool { return b != nil && *b }

var _ spec.Objects = (*objectStore)(nil)

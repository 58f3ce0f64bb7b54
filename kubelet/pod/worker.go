package pod

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/cri"
	"github.com/septet-io/septet/kubelet/spec"
)

// stage of a pod's life on the node.
type stage int

const (
	syncing stage = iota
	terminating
	terminated
	gone
)

// Worker looks after one pod. Its methods may be called from anywhere and return
// at once; what they bring is dealt with by the worker's one goroutine, which
// alone touches the fields below the inbox. What takes long (pulling, starting,
// stopping, mounting) runs in goroutines of its own, which post their results.
type Worker struct {
	host *Host
	uid  types.UID

	mu    sync.Mutex
	inbox []func()
	wake  chan struct{}
	// seen is closed and replaced each time that the view changes.
	seen chan struct{}
	// view is what others may see of the pod.
	view View

	stage stage
	// pod is the pod as the source gives it, with the resources that the node
	// allocated.
	pod *v1.Pod
	// removed says that the source does not have the pod any more.
	removed bool
	runtime *cri.Pod
	// stale ids are to be asked about again; staleAll, everything is.
	stale    map[string]bool
	staleAll bool
	old      *v1.PodStatus
	end      *End

	prepared    bool
	volumes     map[string]spec.Volume
	groups      []int64
	volumesBusy bool
	// remount asks for another look at volumes that are there.
	remount     bool
	sandboxBusy bool
	idMaps      *spec.IDMaps
	handler     string
	sandboxSpec *runtimeapi.PodSandboxConfig
	cgroup      string
	// retries slow down what failed for the pod as a whole: by name of the step.
	retries map[string]retry

	busy    map[string]bool
	waiting map[string]v1.ContainerStateWaiting
	retry   map[string]time.Time
	backoff map[string]Backoff
	images  map[string]*prefetch
	epoch   time.Time
	resize  resizing
	// ops counts the goroutines under way; kill cancels that which stops the pod.
	ops      sync.WaitGroup
	kill     context.CancelFunc
	killing  int64
	released bool
	cleaning bool
	cleaned  bool
	finished bool

	timer *time.Timer
	next  time.Time
	// ctx ends with the kubelet, syncCtx when the pod is to be stopped.
	ctx, syncCtx context.Context
	cancelSync   context.CancelFunc
}

// View is what others may see of a pod on the node. Nothing in it changes.
type View struct {
	Pod     *v1.Pod
	Runtime *cri.Pod
	Status  *v1.PodStatus
	// Terminating says that it is being stopped, Stopped that nothing of it runs
	// nor will.
	Terminating, Stopped bool
}

// End is why the node itself ends a pod.
type End struct {
	Phase           v1.PodPhase
	Reason, Message string
	// Grace in seconds replaces the pod's own when not nil.
	Grace      *int64
	Conditions []v1.PodCondition
	// Bare says that the pod was never accepted: its status has nothing of containers.
	Bare bool
}

// Start begins to look after a pod. found is what the runtime already holds of
// it, nil if nothing; end, when not nil, is why it is to be stopped at once. The
// worker ends when the pod is gone, or with ctx, leaving everything as it is.
func Start(ctx context.Context, host *Host, pod *v1.Pod, found *cri.Pod, end *End) *Worker {
	if found == nil {
		found = &cri.Pod{UID: pod.UID, Name: pod.Name, Namespace: pod.Namespace}
	}
	w := &Worker{
		host: host, uid: pod.UID, wake: make(chan struct{}, 1), seen: make(chan struct{}),
		pod: pod, runtime: found, end: end, old: pod.Status.DeepCopy(), stale: map[string]bool{},
		retries: map[string]retry{}, busy: map[string]bool{}, waiting: map[string]v1.ContainerStateWaiting{},
		retry: map[string]time.Time{}, backoff: map[string]Backoff{}, images: map[string]*prefetch{},
		timer: time.NewTimer(time.Hour), ctx: klog.NewContext(ctx, klog.FromContext(ctx).WithValues("pod", klog.KObj(pod))),
	}
	w.syncCtx, w.cancelSync = context.WithCancel(w.ctx)
	w.view = View{Pod: pod, Runtime: found, Status: w.old}
	host.Objects.Use(w.uid, pod)
	for _, c := range found.Containers {
		readMessage(w.pod, c)
	}
	w.wake <- struct{}{}
	go w.run()
	return w
}

// Update brings the pod as it now is. pending is the condition of a resize that
// the node has not allocated, nil if there is none.
func (w *Worker) Update(pod *v1.Pod, pending *v1.PodCondition) {
	w.post(func() {
		if w.resize.pending = pending; pod.DeletionTimestamp == nil && w.pod.Generation != pod.Generation {
			clear(w.retry)
		}
		if contents(w.pod) != contents(pod) {
			w.volumesStale()
		}
		w.pod = pod
		w.removed = false
		w.host.Objects.Use(w.uid, pod)
	})
}

// contents sums up what of a pod its volumes may depend on.
func contents(pod *v1.Pod) string {
	return fmt.Sprint(pod.Generation, len(pod.Spec.EphemeralContainers), pod.Labels, pod.Annotations)
}

// Remove says that the pod's source does not have it any more: it is stopped, and
// everything of it removed.
func (w *Worker) Remove() { w.post(func() { w.removed = true }) }

// Terminate ends the pod with a verdict of the node's.
func (w *Worker) Terminate(end End) {
	w.post(func() {
		if w.end == nil {
			w.end = &end
		}
	})
}

// Changed says that something happened to one of the pod's containers or sandboxes.
func (w *Worker) Changed(c cri.Change) { w.post(func() { w.stale[c.ID] = true }) }

// Resync says that anything may have happened.
func (w *Worker) Resync() { w.post(func() { w.staleAll = true }) }

// Kick says that a probe's result is new.
func (w *Worker) Kick() { w.post(func() {}) }

// RetryNow says that what failed may succeed now: an object that was missing came.
func (w *Worker) RetryNow() {
	w.post(func() {
		clear(w.retry)
		clear(w.retries)
		w.volumesStale()
	})
}

// View returns what there is to see of the pod.
func (w *Worker) View() View {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view
}

// WaitExit waits until the container of that id does not run any more, or ctx or
// the worker ends.
func (w *Worker) WaitExit(ctx context.Context, id string) {
	for {
		w.mu.Lock()
		c, seen := w.view.Runtime.ByID(id), w.seen
		w.mu.Unlock()
		if c == nil || c.State == cri.Exited {
			return
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return
		case <-w.ctx.Done():
			return
		}
	}
}

// post has f run by the worker's goroutine, and everything looked at again.
func (w *Worker) post(f func()) {
	w.mu.Lock()
	w.inbox = append(w.inbox, f)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Worker) run() {
	defer w.timer.Stop()
	defer w.cancelSync()
	for w.stage != gone {
		select {
		case <-w.ctx.Done():
			return
		case <-w.wake:
		case <-w.timer.C:
		}
		w.mu.Lock()
		news := w.inbox
		w.inbox = nil
		w.mu.Unlock()
		w.protected(func() {
			for _, f := range news {
				f()
			}
			w.step()
		})
	}
	w.host.Gone(w.uid)
}

// protected keeps a fault in dealing with one pod from ending the agent of all.
func (w *Worker) protected(f func()) {
	defer func() {
		if fault := recover(); fault != nil {
			klog.FromContext(w.ctx).Error(fmt.Errorf("%v", fault), "Fault in a pod's worker", "stack", string(debug.Stack()))
			w.at(time.Now().Add(time.Second))
		}
	}()
	f()
}

// step looks at everything once and starts what is to be done.
func (w *Worker) step() {
	w.next = time.Time{}
	w.refresh()
	w.deadline()
	if w.stage == syncing && w.ending() {
		w.beginEnd()
	}
	switch w.stage {
	case syncing:
		w.sync()
	case terminating:
		w.terminate()
	}
	if w.stage == terminated {
		w.release()
	}
	// First, so that the status already has what was known of the probes before.
	w.probes()
	w.publish()
	if !w.next.IsZero() {
		w.timer.Reset(time.Until(w.next))
	}
}

// ending says whether the pod is to be stopped.
func (w *Worker) ending() bool {
	phase := w.pod.Status.Phase
	return w.removed || w.pod.DeletionTimestamp != nil || w.end != nil || phase == v1.PodFailed || phase == v1.PodSucceeded
}

// at asks for another step at a time.
func (w *Worker) at(t time.Time) {
	if w.next.IsZero() || t.Before(w.next) {
		w.next = t
	}
}

// deadline ends a pod that has been active for too long.
func (w *Worker) deadline() {
	seconds := w.pod.Spec.ActiveDeadlineSeconds
	if w.stage != syncing || seconds == nil || w.old.StartTime == nil || w.end != nil {
		return
	}
	due := w.old.StartTime.Add(time.Duration(*seconds) * time.Second)
	if due.After(time.Now()) {
		w.at(due)
		return
	}
	const reason, message = "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
	w.host.event(w.pod, "", v1.EventTypeNormal, reason, message)
	w.end = &End{Phase: v1.PodFailed, Reason: reason, Message: message}
}

// retry is when a step that failed is made again.
type retry struct {
	at    time.Time
	delay time.Duration
}

// failed notes that a step failed, and when it is to be made again: after first,
// then after twice as long each time, up to longest.
func (w *Worker) failed(step string, first, longest time.Duration) {
	r := w.retries[step]
	r.delay = min(max(2*r.delay, first), longest)
	r.at = time.Now().Add(r.delay)
	w.retries[step] = r
}

// may says whether a step may be made now; if not, there will be another look.
func (w *Worker) may(step string) bool {
	r, ok := w.retries[step]
	if !ok || !r.at.After(time.Now()) {
		return true
	}
	w.at(r.at)
	return false
}

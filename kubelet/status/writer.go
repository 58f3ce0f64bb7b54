package status

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
)

// Writer brings statuses to the API server: each as soon as it changes, one
// request per pod at a time, and always the newest. Statuses that change while a
// request is under way are written together afterwards.
type Writer struct {
	client  kubernetes.Interface
	journal *journal.Ring
	node    string
	// target returns the API's object for a pod: for a static pod its mirror, nil
	// if there is none (yet).
	target func(uid types.UID) *v1.Pod

	mu sync.Mutex
	// entries by the uid of the pod as the kubelet knows it.
	entries map[types.UID]*entry
}

// entry is what is known of one pod's status. Its fields are guarded by the
// Writer's lock.
type entry struct {
	pod    *v1.Pod
	status *v1.PodStatus
	// version counts the statuses set, written is the one that the API has.
	version, written uint64
	// base is the API's status after the last request, of object uid at revision.
	base     *v1.PodStatus
	baseUID  types.UID
	revision uint64
	// finished says that nothing of the pod is left on the node.
	finished bool
	running  bool
	cancel   context.CancelFunc
}

// NewWriter returns a Writer. target must be quick and not call the Writer.
func NewWriter(client kubernetes.Interface, node string, ring *journal.Ring, target func(types.UID) *v1.Pod) *Writer {
	return &Writer{client: client, node: node, journal: ring, target: target, entries: map[types.UID]*entry{}}
}

// Set records the pod's status and starts to write it if it changed.
func (w *Writer) Set(ctx context.Context, pod *v1.Pod, s *v1.PodStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entry(pod)
	if e.status != nil && apiequality.Semantic.DeepEqual(e.status, s) {
		return
	}
	e.status = s
	e.version++
	w.start(ctx, e)
}

// Finish says that nothing of the pod is left on the node: if the API wants it
// deleted, it is, after its last status was written.
func (w *Writer) Finish(ctx context.Context, pod *v1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entry(pod)
	e.finished = true
	w.start(ctx, e)
}

// Status returns the status last set.
func (w *Writer) Status(uid types.UID) (*v1.PodStatus, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[uid]
	if e == nil || e.status == nil {
		return nil, false
	}
	return e.status, true
}

// Observe is told of the API's object for the pod uid whenever it changes. A
// status that someone else changed is written again, and one that waited for the
// object is written now.
func (w *Writer) Observe(ctx context.Context, uid types.UID, object *v1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.entries[uid]
	if e == nil || e.status == nil {
		return
	}
	seen := revision(object.ResourceVersion)
	if object.UID != e.baseUID {
		e.base, e.baseUID, e.revision = nil, object.UID, 0
		e.written = 0
	} else if seen > e.revision && e.base != nil && !same(&object.Status, e.base) {
		e.base, e.revision = object.Status.DeepCopy(), seen
		e.written = 0
	}
	w.start(ctx, e)
}

// Forget drops all that is known of a pod that is gone from the API.
func (w *Writer) Forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.entries[uid]; e != nil {
		if e.cancel != nil {
			e.cancel()
		}
		delete(w.entries, uid)
	}
}

func (w *Writer) entry(pod *v1.Pod) *entry {
	e := w.entries[pod.UID]
	if e == nil {
		e = &entry{}
		w.entries[pod.UID] = e
	}
	e.pod = pod
	return e
}

// start runs the entry's writer unless one runs. The lock is held.
func (w *Writer) start(ctx context.Context, e *entry) {
	if e.running || e.written == e.version && !e.finished {
		return
	}
	e.running = true
	ctx, e.cancel = context.WithCancel(ctx)
	go w.run(ctx, e)
}

// run writes until the API has the newest status.
func (w *Writer) run(ctx context.Context, e *entry) {
	wait := 50 * time.Millisecond
	for {
		w.mu.Lock()
		target := w.target(e.pod.UID)
		done := target == nil || ctx.Err() != nil || e.written == e.version && !(e.finished && target.DeletionTimestamp != nil)
		if done {
			e.running = false
			e.cancel()
			w.mu.Unlock()
			return
		}
		job := w.prepare(e, target)
		w.mu.Unlock()
		if err := w.write(ctx, e, job); err != nil {
			if ctx.Err() != nil {
				continue
			}
			klog.FromContext(ctx).V(1).Info("Could not write a pod's status, trying again", "pod", klog.KObj(target), "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
			wait = min(2*wait, 10*time.Second)
			continue
		}
		wait = 50 * time.Millisecond
	}
}

// job is one request, or two, to be made without the lock.
type job struct {
	target       *v1.Pod
	base, status *v1.PodStatus
	version      uint64
	remove       bool
}

func (w *Writer) prepare(e *entry, target *v1.Pod) job {
	if e.baseUID != target.UID || e.base == nil {
		e.base, e.baseUID, e.revision = target.Status.DeepCopy(), target.UID, revision(target.ResourceVersion)
	}
	return job{target: target, base: e.base, status: e.status, version: e.version, remove: e.finished && target.DeletionTimestamp != nil}
}

func (w *Writer) write(ctx context.Context, e *entry, j job) error {
	began := time.Now()
	result, err := w.patch(ctx, j)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && !j.remove {
		// The pod is gone, or another of its name is there: this status is no
		// one's any more.
		w.settle(e, j, nil)
		return nil
	}
	if err != nil && !apierrors.IsConflict(err) {
		return err
	}
	if result != nil {
		w.journal.Note(journal.Record{
			Component: "kubelet", Step: "status", Kind: "Pod", Namespace: j.target.Namespace, Name: j.target.Name, UID: j.target.UID,
			Made: result.ResourceVersion, Duration: time.Since(began), Note: string(j.status.Phase), Node: w.node,
		})
	}
	if j.remove {
		if err := w.remove(ctx, j.target); err != nil {
			return err
		}
	}
	w.settle(e, j, result)
	return nil
}

func (w *Writer) patch(ctx context.Context, j job) (*v1.Pod, error) {
	if j.status == nil {
		return nil, nil
	}
	body, err := patchOf(j.target.UID, j.base, j.status)
	if err != nil || body == nil {
		return nil, err
	}
	return w.client.CoreV1().Pods(j.target.Namespace).Patch(ctx, j.target.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
}

// remove deletes the pod for good: its containers are gone.
func (w *Writer) remove(ctx context.Context, target *v1.Pod) error {
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(target.UID))
	err := w.client.CoreV1().Pods(target.Namespace).Delete(ctx, target.Name, *options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err == nil {
		w.journal.Note(journal.Record{
			Component: "kubelet", Step: "delete", Kind: "Pod", Namespace: target.Namespace, Name: target.Name, UID: target.UID,
			Note: "nothing of it is left on the node", Node: w.node,
		})
	}
	return err
}

func (w *Writer) settle(e *entry, j job, result *v1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.written = max(e.written, j.version)
	if j.remove {
		e.finished = false
	}
	if result != nil {
		e.base, e.revision = result.Status.DeepCopy(), revision(result.ResourceVersion)
	}
}

// same says whether two statuses agree in what the kubelet sets.
func same(a, b *v1.PodStatus) bool {
	x, err := json.Marshal(mineOnly(a))
	if err != nil {
		return false
	}
	y, err := json.Marshal(mineOnly(b))
	return err == nil && string(x) == string(y)
}

// revision reads a resourceVersion; 0 if it is not a number.
func revision(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

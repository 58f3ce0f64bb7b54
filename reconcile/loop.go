package reconcile

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
)

// loop is one controller at work: its queue and what is known about the keys in it.
type loop struct {
	controller Controller
	component  string
	journal    *journal.Ring
	queue      workqueue.TypedRateLimitingInterface[Key]
	measures   *measures

	mu      sync.Mutex
	waiting map[Key]wake      // keys in the queue that no worker has taken
	running map[Key]time.Time // key to when a worker took it
}

// wake is when and by which resourceVersion a key was first woken since it was last taken.
type wake struct {
	at  time.Time
	saw string
}

func newLoop(r Runner, c Controller) *loop {
	backoff := c.backoff()
	return &loop{
		controller: c,
		component:  r.Component,
		journal:    r.Journal,
		// No name: client-go would measure the queue with a ticker of its own; see metrics.go.
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[Key](backoff.Base, backoff.Max)),
		measures: r.Metrics.of(c.queue()),
		waiting:  map[Key]wake{},
		running:  map[Key]time.Time{},
	}
}

// wake adds a key that an event at the given resourceVersion (may be empty) concerns.
func (l *loop) wake(key Key, saw string) {
	l.note(key, saw)
	l.queue.Add(key)
}

// note keeps the first time and the last version of a key's wakes.
func (l *loop) note(key Key, saw string) {
	l.mu.Lock()
	w, found := l.waiting[key]
	if !found {
		w.at = time.Now()
		l.measures.added()
	}
	if saw != "" {
		w.saw = saw
	}
	l.waiting[key] = w
	l.mu.Unlock()
}

// run waits for everything that the controller reads, starts it, and works until the queue is shut down.
func (l *loop) run(ctx context.Context, taps map[cache.SharedIndexInformer]*tap) {
	logger := klog.FromContext(ctx).WithValues("controller", l.controller.Name)
	ctx = klog.NewContext(ctx, logger)
	if !l.sync(ctx, taps) || !l.start(ctx) {
		return
	}
	logger.V(2).Info("Controller started")
	var workers sync.WaitGroup
	for range max(1, l.controller.Workers) {
		workers.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	workers.Wait()
}

// sync reports whether all informers delivered their first list before ctx ended.
func (l *loop) sync(ctx context.Context, taps map[cache.SharedIndexInformer]*tap) bool {
	var done []<-chan struct{}
	for _, watch := range l.controller.Watches {
		done = append(done, taps[watch.Informer].registration.HasSyncedChecker().Done())
	}
	for _, informer := range l.controller.Synced {
		done = append(done, informer.HasSyncedChecker().Done())
	}
	for _, synced := range done {
		select {
		case <-synced:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// start calls the controller's Start until it succeeds or ctx ends.
func (l *loop) start(ctx context.Context) bool {
	if l.controller.Start == nil {
		return true
	}
	delay, limit := 200*time.Millisecond, 30*time.Second
	for {
		err := l.guard(func() error {
			return l.controller.Start(ctx, func(key Key) { l.wake(key, "") })
		})
		if err == nil {
			return true
		}
		klog.FromContext(ctx).Error(err, "Controller could not start, will try again", "after", delay)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
		delay = min(2*delay, limit)
	}
}

// next reconciles one key; false when the queue has been shut down.
func (l *loop) next(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	woken, began := l.take(key)
	l.measures.waited(began.Sub(woken.at))
	step := &Step{loop: l, key: key, saw: woken.saw}
	result, err := l.reconcile(contextWithStep(ctx, step), key)
	took := l.finish(key, began)
	l.measures.worked(took)
	step.end(began.Sub(woken.at), took, err)
	l.again(ctx, key, result, err)
	return true
}

func (l *loop) take(key Key) (wake, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	w, found := l.waiting[key]
	if !found { // a retry or an After: it came through the queue's own timer
		w.at = now
		l.measures.added()
	}
	delete(l.waiting, key)
	l.running[key] = now
	return w, now
}

func (l *loop) finish(key Key, began time.Time) time.Duration {
	l.mu.Lock()
	delete(l.running, key)
	l.mu.Unlock()
	return time.Since(began)
}

// again plans what follows a Reconcile: a retry after an error, a later turn when it asked for one.
func (l *loop) again(ctx context.Context, key Key, result Result, err error) {
	if err == nil {
		l.queue.Forget(key)
		if result.After > 0 {
			l.queue.AddAfter(key, result.After)
		}
		return
	}
	if ctx.Err() != nil {
		return // the runner ends: the error is most likely that of a cancelled request
	}
	l.measures.retried()
	l.queue.AddRateLimited(key)
	logger := klog.FromContext(ctx)
	if isWaiting(err) {
		logger.V(3).Info("Reconcile waits", "key", key, "for", err.Error())
		return
	}
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		// Somebody else wrote first: ordinary life of optimistic concurrency, the next try sees it.
		logger.V(3).Info("Reconcile will be tried again", "key", key, "err", err)
		return
	}
	if tries := l.queue.NumRequeues(key); tries == 5 || tries == 10 || tries == 15 {
		logger.Error(err, "Reconcile keeps failing", "key", key, "tries", tries)
		return
	}
	logger.V(2).Info("Reconcile failed, will be tried again", "key", key, "err", err)
}

func isWaiting(err error) bool {
	var w waiting
	return errors.As(err, &w)
}

func (l *loop) reconcile(ctx context.Context, key Key) (result Result, err error) {
	err = l.guard(func() error {
		result, err = l.controller.Reconcile(ctx, key)
		return err
	})
	return result, err
}

// guard turns a panic into an error: one broken object must not end the other controllers.
func (l *loop) guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v", l.controller.Name, p)
			klog.ErrorS(err, "Panic in a controller", "stack", string(debug.Stack()))
		}
	}()
	return do()
}

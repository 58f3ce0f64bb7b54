package reconcile

import (
	"context"
	"sync"

	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/journal"
)

// Runner runs the controllers of one component. The zero value runs them without journal and metrics.
type Runner struct {
	// Component names the process in the journal: "kube-controller-manager".
	Component string
	Journal   *journal.Ring
	// Metrics measures the queues; nil measures nothing.
	Metrics *Metrics
}

// Run registers the controllers' watches, waits for their informers (which the caller starts, before or after) and
// works until ctx ends. When it returns, no Reconcile is running, all handlers are removed and the queues
// are gone, so that controllers made anew can run on the same informers: that is how a lost leadership is survived.
// A controller whose informers do not sync does not hold up the others. The error is that of a
// handler that could not be registered (an informer that has been stopped, though ctx has not ended); nothing has run then.
func (r Runner) Run(ctx context.Context, controllers ...Controller) error {
	loops := make([]*loop, len(controllers))
	for i := range controllers {
		loops[i] = newLoop(r, controllers[i])
		r.Metrics.add(loops[i])
	}
	taps := tapsOf(loops)
	defer func() {
		for _, t := range taps {
			t.close()
		}
		for _, l := range loops {
			l.queue.ShutDown()
			r.Metrics.remove(l)
		}
	}()
	for _, t := range taps {
		if err := t.open(); err != nil {
			if ctx.Err() != nil {
				return nil // informers end with the process, and this was no more than beginning
			}
			return err
		}
	}
	var running sync.WaitGroup
	for _, l := range loops {
		running.Go(func() { l.run(ctx, taps) })
	}
	<-ctx.Done()
	for _, l := range loops {
		l.queue.ShutDown()
	}
	running.Wait()
	return nil
}

// tap is the one handler that all loops of a Runner have on an informer. One rather than one per
// controller, since each costs two goroutines and a buffer, and dozens of controllers watch Pods.
type tap struct {
	informer     cache.SharedIndexInformer
	outlets      []outlet
	registration cache.ResourceEventHandlerRegistration
}

// outlet is one controller's interest in a tap's events.
type outlet struct {
	to    *loop
	watch Watch
}

// tapsOf groups the loops' watches by informer, in the controllers' order.
func tapsOf(loops []*loop) map[cache.SharedIndexInformer]*tap {
	taps := map[cache.SharedIndexInformer]*tap{}
	for _, l := range loops {
		for _, watch := range l.controller.Watches {
			t := taps[watch.Informer]
			if t == nil {
				t = &tap{informer: watch.Informer}
				taps[watch.Informer] = t
			}
			t.outlets = append(t.outlets, outlet{to: l, watch: watch})
		}
	}
	return taps
}

func (t *tap) open() error {
	var err error
	t.registration, err = t.informer.AddEventHandler(t)
	return err
}

func (t *tap) close() {
	if t.registration == nil {
		return
	}
	if err := t.informer.RemoveEventHandler(t.registration); err != nil {
		klog.ErrorS(err, "Could not remove an informer's handler")
	}
}

// OnAdd implements cache.ResourceEventHandler.
func (t *tap) OnAdd(obj any, _ bool) { t.deliver(nil, obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (t *tap) OnUpdate(old, obj any) { t.deliver(old, obj) }

// OnDelete implements cache.ResourceEventHandler.
func (t *tap) OnDelete(old any) {
	if tombstone, ok := old.(cache.DeletedFinalStateUnknown); ok {
		old = tombstone.Obj
	}
	t.deliver(old, nil)
}

func (t *tap) deliver(old, obj any) {
	for i := range t.outlets {
		t.outlets[i].deliver(old, obj)
	}
}

func (o *outlet) deliver(old, obj any) {
	seen := obj
	if seen == nil {
		seen = old
	}
	var one [1]Key
	keys := one[:0]
	if o.watch.Keys != nil {
		keys = o.watch.Keys(old, obj)
	} else if key, ok := ObjectKey(seen); ok {
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return
	}
	version := versionOf(seen)
	for _, key := range keys {
		if o.watch.Later != nil {
			if delay := o.watch.Later(old, obj); delay > 0 {
				o.to.queue.AddAfter(key, delay)
				continue
			}
		}
		o.to.wake(key, version)
	}
}

func versionOf(obj any) string {
	if versioned, ok := obj.(interface{ GetResourceVersion() string }); ok {
		return versioned.GetResourceVersion()
	}
	return ""
}

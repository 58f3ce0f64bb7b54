// Package controltest runs controllers against client-go's fake clientset, made a little more like a server: objects get
// names, UIDs, times, generations and versions, and updates from an old state conflict. It is for the tests of the
// controllers' shells; what they decide is tested without any API.
package controltest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// World is a fake API with shared informers on it.
type World struct {
	*client.Set
	Fake *fake.Clientset
	// Events collects what controllers tell: one line an event.
	Events *record.FakeRecorder

	t    testing.TB
	last atomic.Int64
	// watches is how many there have been.
	watches atomic.Int64
}

// New returns a World that holds the given objects.
func New(t testing.TB, objects ...runtime.Object) *World {
	t.Helper()
	w := &World{t: t, Events: record.NewFakeRecorder(10000)}
	for _, object := range objects {
		// Without one, an update from the state that it began with would never conflict.
		if object, ok := object.(metav1.Object); ok && object.GetResourceVersion() == "" {
			object.SetResourceVersion(w.version())
		}
	}
	w.Fake = fake.NewClientset(objects...)
	w.Fake.PrependReactor("create", "*", w.complete)
	w.Fake.PrependReactor("update", "*", w.rules)
	w.Fake.PrependWatchReactor("*", func(k8stesting.Action) (bool, watch.Interface, error) {
		w.watches.Add(1) // the fake is locked until the watch is there
		return false, nil, nil
	})
	w.Set = &client.Set{Interface: w.Fake, Informers: informers.NewSharedInformerFactory(w.Fake, 0)}
	return w
}

// version is a new one.
func (w *World) version() string { return strconv.FormatInt(w.last.Add(1), 10) }

// complete gives a new object what a server gives it.
func (w *World) complete(action k8stesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(k8stesting.CreateAction)
	if !ok || action.GetSubresource() != "" {
		return false, nil, nil
	}
	object, ok := create.GetObject().(metav1.Object)
	if !ok {
		return false, nil, nil
	}
	n := w.last.Add(1)
	if object.GetName() == "" && object.GetGenerateName() != "" {
		object.SetName(fmt.Sprintf("%s%05d", object.GetGenerateName(), n))
	}
	if object.GetUID() == "" {
		object.SetUID(types.UID(fmt.Sprintf("uid-%05d", n)))
	}
	if stamp := object.GetCreationTimestamp(); stamp.IsZero() {
		object.SetCreationTimestamp(metav1.NewTime(time.Now()))
	}
	if object.GetGeneration() == 0 {
		object.SetGeneration(1)
	}
	object.SetResourceVersion(strconv.FormatInt(n, 10))
	return false, nil, nil
}

// rules holds an update to what a server would make of it: whoever read an older state is told so, a write of the object leaves
// its status alone, and one of the status all else but annotations.
func (w *World) rules(action k8stesting.Action) (bool, runtime.Object, error) {
	update, ok := action.(k8stesting.UpdateAction)
	if !ok {
		return false, nil, nil
	}
	wanted, ok := update.GetObject().(metav1.Object)
	if !ok {
		return false, nil, nil
	}
	found, err := w.Fake.Tracker().Get(action.GetResource(), action.GetNamespace(), wanted.GetName())
	if err != nil {
		return false, nil, nil // the fake itself says so
	}
	current := found.DeepCopyObject().(metav1.Object)
	if v := wanted.GetResourceVersion(); v != "" && current.GetResourceVersion() != "" && v != current.GetResourceVersion() {
		return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), wanted.GetName(), errors.New("the object has been modified"))
	}
	generation := current.GetGeneration()
	switch action.GetSubresource() {
	case "status":
		copyStatus(current, wanted)
		current.SetAnnotations(wanted.GetAnnotations())
		reflect.ValueOf(wanted).Elem().Set(reflect.ValueOf(current).Elem())
	case "":
		copyStatus(wanted, current)
		generation++
	}
	wanted.SetGeneration(generation)
	wanted.SetResourceVersion(w.version())
	return false, nil, nil
}

// copyStatus replaces the status of one object by that of another of its kind, if the kind has any.
func copyStatus(of, by metav1.Object) {
	if status := reflect.ValueOf(of).Elem().FieldByName("Status"); status.IsValid() {
		status.Set(reflect.ValueOf(by).Elem().FieldByName("Status"))
	}
}

// Run runs controllers until the test ends.
func (w *World) Run(controllers ...reconcile.Controller) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.Informers.Start(ctx.Done())
	// What happens between a list and its watch is lost here: nothing may happen before all watch.
	for informers := len(w.Informers.WaitForCacheSync(ctx.Done())); w.watches.Load() < int64(informers); time.Sleep(time.Millisecond) {
	}
	go func() { done <- reconcile.Runner{Component: "test"}.Run(ctx, controllers...) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("running the controllers: %v", err)
		}
		w.Informers.Shutdown()
	})
}

// Must returns a controller, or fails the test with the error of its constructor.
func (w *World) Must(c reconcile.Controller, err error) reconcile.Controller {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// patience is how long Eventually waits: long, since a passing test never needs it.
const patience = 30 * time.Second

// Eventually waits until holds returns "", and fails the test with its last answer otherwise.
func (w *World) Eventually(holds func() string) {
	w.t.Helper()
	var wrong string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if wrong = holds(); wrong == "" {
			return
		}
	}
	w.t.Fatalf("still not as expected: %s", wrong)
}

// Told waits until an event line ("Normal ScalingReplicaSet Scaled up …") has been told. Lines before it are dropped.
func (w *World) Told(line string) {
	w.t.Helper()
	var heard []string
	timeout := time.After(patience)
	for {
		select {
		case got := <-w.Events.Events:
			if got == line {
				return
			}
			heard = append(heard, got)
		case <-timeout:
			w.t.Fatalf("no event %q; heard %q", line, heard)
		}
	}
}

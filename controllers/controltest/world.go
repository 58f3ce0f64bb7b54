// Package controltest runs controllers against client-go's fake clientset, made a little more like a server: objects get
// names, UIDs, times and generations. It is for the tests of the controllers' shells; what they decide is tested without any API.
package controltest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
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
}

// New returns a World that holds the given objects.
func New(t testing.TB, objects ...runtime.Object) *World {
	t.Helper()
	w := &World{t: t, Fake: fake.NewClientset(objects...), Events: record.NewFakeRecorder(10000)}
	w.Fake.PrependReactor("create", "*", w.complete)
	w.Fake.PrependReactor("update", "*", w.generation)
	w.Set = &client.Set{Interface: w.Fake, Informers: informers.NewSharedInformerFactory(w.Fake, 0)}
	return w
}

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
	return false, nil, nil
}

// generation counts writes of the object itself, as a server counts changes of the spec.
func (w *World) generation(action k8stesting.Action) (bool, runtime.Object, error) {
	update, ok := action.(k8stesting.UpdateAction)
	if !ok || action.GetSubresource() != "" {
		return false, nil, nil
	}
	if object, ok := update.GetObject().(metav1.Object); ok {
		object.SetGeneration(object.GetGeneration() + 1)
	}
	return false, nil, nil
}

// Run runs controllers until the test ends.
func (w *World) Run(controllers ...reconcile.Controller) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.Informers.Start(ctx.Done())
	w.Informers.WaitForCacheSync(ctx.Done())
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

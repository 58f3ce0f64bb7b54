package reconcile

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// TestALostLeaseStopsTheWorkAndIsStoodForAgain breaks the API until the lease is lost, mends it, and expects work anew.
func TestALostLeaseStopsTheWorkAndIsStoodForAgain(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	var broken atomic.Bool
	api.PrependReactor("*", "leases", func(k8stesting.Action) (bool, runtime.Object, error) {
		if broken.Load() {
			return true, nil, errors.New("out of order")
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	working, stopped := make(chan bool, 10), make(chan bool, 10)
	done := make(chan error, 1)
	go func() {
		done <- Lead(ctx, Election{
			Client: api, Namespace: "kube-system", Name: "test", Identity: "me",
			LeaseDuration: 300 * time.Millisecond, RenewDeadline: 200 * time.Millisecond, RetryPeriod: 20 * time.Millisecond,
		}, func(leading context.Context) {
			working <- true
			<-leading.Done()
			stopped <- true
		})
	}()
	receive(t, working)
	broken.Store(true)
	receive(t, stopped)
	broken.Store(false)
	receive(t, working)
	cancel()
	receive(t, stopped)
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
	lease, err := api.CoordinationV1().Leases("kube-system").Get(context.Background(), "test", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != "" {
		t.Errorf("the lease was not given up: %+v, %v", lease, err)
	}
}

// An event of the Lease says who leads.
func TestALeaderIsTold(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	events := make(chan *corev1.Event, 10)
	api.PrependReactor("create", "events", func(action k8stesting.Action) (bool, runtime.Object, error) {
		events <- action.(k8stesting.CreateAction).GetObject().(*corev1.Event)
		return false, nil, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- Lead(ctx, Election{Client: api, Namespace: "kube-system", Name: "test", Identity: "me"}, func(ctx context.Context) { <-ctx.Done() })
	}()
	if e := receive(t, events); e.Reason != "LeaderElection" || e.Message != "me became leader" || e.Type != "Normal" ||
		e.InvolvedObject.Kind != "Lease" || e.InvolvedObject.Name != "test" || e.Source.Component != "test" {
		t.Errorf("%+v", e)
	}
	cancel()
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
}

func TestAnElectionWithoutNameIsRefused(t *testing.T) {
	t.Parallel()
	if err := Lead(context.Background(), Election{}, func(context.Context) {}); err == nil {
		t.Error("no error")
	}
}

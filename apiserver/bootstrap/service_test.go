package bootstrap

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/septet-io/septet/etcd"
)

// remembering is a Watcher that keeps the contexts of the watches asked of it.
type remembering struct {
	clientv3.Watcher
	watches *[]context.Context
}

func (r remembering) Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan {
	*r.watches = append(*r.watches, ctx)
	return r.Watcher.Watch(ctx, key, options...)
}

// An announcement that fails, which may happen every few seconds for days, leaves neither its key nor its watch behind.
func TestAFailedAnnouncementLeavesNothing(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { member.Stop() })
	refusing := fake.NewClientset()
	refusing.PrependReactor("*", "endpoints", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("refused by somebody")
	})
	client := *member.Client()
	var watches []context.Context
	client.Watcher = remembering{client.Watcher, &watches}
	s := &Service{Client: refusing, Etcd: &client, Prefix: "/registry", Address: netip.MustParseAddr("192.0.2.1"), Port: 6443, ClusterIPs: []string{"10.96.0.1"}}
	if err := s.announce(t.Context()); err == nil {
		t.Fatal("endpoints that are refused are announced")
	}
	if len(watches) != 1 || watches[0].Err() == nil {
		t.Errorf("%d watches, and the first still runs", len(watches))
	}
	left, err := client.Get(t.Context(), "/registry/masterleases/", clientv3.WithPrefix())
	if err != nil || left.Count != 0 {
		t.Errorf("%d keys are left, %v", left.Count, err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

const (
	nodes     = 5000
	inNodes   = "node-%05d"
	seedPods  = "/registry/pods/" + namespace + "/"
	seeders   = 64
	podsShare = 100 // one Pod of so many has a given label "share"
)

func nodeOf(n int) string { return fmt.Sprintf(inNodes, n%nodes) }

func seedName(n int) string { return fmt.Sprintf("pod-%06d", n) }

// seed puts Pods right into etcd, from a number up to another, as the server itself has written one of them: to go through the API
// would take minutes and measures nothing new.
func (b *bench) seed(from, to int) error {
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + b.etcdAddress}, DialTimeout: patience})
	if err != nil {
		return err
	}
	defer etcd.Close()
	codec, model, err := b.model(etcd)
	if err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(int64(from))
	var group sync.WaitGroup
	errs := make([]error, seeders)
	for i := range seeders {
		group.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= to || errs[i] != nil {
					return
				}
				errs[i] = plant(etcd, codec, model, n)
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return b.awaitPods(to)
}

// model is a Pod that the server stored.
func (b *bench) model(etcd *clientv3.Client) (store.Codec, *corev1.Pod, error) {
	c, err := b.dial()
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	const name = "model-00"
	if got, err := c.do(b.call("POST", asJSON, asJSON), podsPath, podBody(name, nodeOf(0), 0), nil); err != nil || got.status != 201 {
		return nil, nil, fmt.Errorf("model: status %d: %w", got.status, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stored, err := etcd.Get(ctx, seedPods+name)
	if err != nil || len(stored.Kvs) != 1 {
		return nil, nil, fmt.Errorf("model: %d found: %w", len(stored.Kvs), err)
	}
	if _, err := etcd.Delete(ctx, seedPods+name); err != nil {
		return nil, nil, err
	}
	codec := store.ProtobufCodec(kindOf("pods"))
	obj, err := codec.Decode(stored.Kvs[0].Value)
	if err != nil {
		return nil, nil, err
	}
	return codec, obj.(*corev1.Pod), nil
}

func kindOf(plural string) *resource.Kind {
	for _, kind := range builtin.All() {
		if kind.Resource.Resource == plural && kind.Resource.Group == "" {
			return kind
		}
	}
	panic("no kind " + plural)
}

func plant(etcd *clientv3.Client, codec store.Codec, model *corev1.Pod, n int) error {
	pod := model.DeepCopy()
	pod.Name, pod.UID, pod.Spec.NodeName = seedName(n), uuid.NewUUID(), nodeOf(n)
	pod.Labels["share"] = fmt.Sprintf("s%02d", n%podsShare)
	if n%10 == 0 {
		pod.Labels["rare"] = "yes"
	}
	data, err := codec.Encode(pod)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = etcd.Put(ctx, seedPods+pod.Name, string(data))
	return err
}

// awaitPods waits until the server shows as many Pods.
func (b *bench) awaitPods(want int) error {
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.close()
	last := podsPath + "/" + seedName(want-1)
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		got, err := c.do(b.call("GET", "", asJSON), last, nil, nil)
		if err != nil {
			return err
		}
		if got.status == 200 {
			return nil
		}
	}
	return fmt.Errorf("%s does not appear", last)
}

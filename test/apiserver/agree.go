package apiserver

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Agree holds what the server has in memory against what lies in etcd. It finds objects that somebody changed though they are
// shared, and values that storage rounds, like fractions of seconds. Every test ends with it.
func (s *Server) Agree() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitStop)
	defer cancel()
	for _, r := range s.Resources.All().Ordered {
		if !r.Stored() || r.StoredAs != nil || !s.anything(ctx, r) {
			continue
		}
		page, err := r.Open().List(ctx, store.Query{ResourceVersion: "0"})
		if err != nil {
			s.t.Errorf("agree: %s: %v", r.Kind.Resource, err)
			continue
		}
		for _, item := range page.Items {
			s.agree(ctx, r, item)
		}
	}
}

// anything says whether etcd has objects of a kind.
func (s *Server) anything(ctx context.Context, r *rest.Resource) bool {
	found, err := s.Etcd.Client().Get(ctx, "/registry/"+r.StorageKey+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	return err == nil && found.Count > 0
}

func (s *Server) agree(ctx context.Context, r *rest.Resource, item *store.Item) {
	s.t.Helper()
	path := []string{"/registry", r.StorageKey, item.Key.Name}
	if item.Key.Namespace != "" {
		path = []string{"/registry", r.StorageKey, item.Key.Namespace, item.Key.Name}
	}
	found, err := s.Etcd.Client().Get(ctx, strings.Join(path, "/"))
	if err != nil || len(found.Kvs) != 1 || found.Kvs[0].ModRevision != item.Revision {
		return // deleted or changed just now
	}
	codec := store.ProtobufCodec(r.Kind)
	if !strings.HasPrefix(string(found.Kvs[0].Value), "k8s\x00") {
		codec = store.JSONCodec(r.Kind)
	}
	stored, err := codec.Decode(found.Kvs[0].Value)
	if err != nil {
		s.t.Errorf("agree: %s %v: %v", r.Kind.Resource, item.Key, err)
		return
	}
	held := item.Object.DeepCopyObject().(resource.Object)
	for _, obj := range []resource.Object{stored, held} {
		obj.SetResourceVersion("")
		obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	}
	a, errA := encode(stored)
	b, errB := encode(held)
	if errA != nil || errB != nil || a != b {
		s.t.Errorf("agree: %s %v: etcd (-) and memory (+) differ: %v %v\n%s", r.Kind.Resource, item.Key, errA, errB, cmp.Diff(stored, held))
	}
}

// encode writes an object without losing fractions of seconds, which JSON does.
func encode(obj resource.Object) (string, error) {
	if m, ok := obj.(interface{ Marshal() ([]byte, error) }); ok {
		raw, err := m.Marshal()
		return string(raw), err
	}
	raw, err := json.Marshal(obj)
	return string(raw), err
}

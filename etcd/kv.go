package etcd

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// kv is the KV of an in-process client: etcd's own, and the member's side of it.
type kv struct {
	clientv3.KV
	member pb.KVServer
}

// Transact makes a transaction as a client does, with the same checks and errors, but without the client's copies of keys and values.
func (k *kv) Transact(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	response, err := k.member.Txn(ctx, r)
	return response, clientv3.ContextError(ctx, err)
}

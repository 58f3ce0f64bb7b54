package store

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// transaction is the one kind that there is: a key is written or deleted if it is at a revision.
type transaction struct {
	path  string
	at    int64  // 0: the key does not exist
	value []byte // nil: delete
	lease clientv3.LeaseID
}

// localKV is what the client of a member in the same process offers besides: a transaction as the member takes it, whose bytes nobody
// copies. They are the member's from then on.
type localKV interface {
	Transact(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error)
}

// transact returns the revision of the write if ok, else one at which the key was seen at another revision.
func (b *Backend) transact(ctx context.Context, t *transaction) (revision int64, ok bool, err error) {
	if local, is := b.client.KV.(localKV); is {
		response, err := local.Transact(ctx, t.request())
		if err != nil {
			return 0, false, err
		}
		return response.Header.Revision, response.Succeeded, nil
	}
	op := clientv3.OpDelete(t.path)
	if t.value != nil {
		op = clientv3.OpPut(t.path, string(t.value), clientv3.WithLease(t.lease))
	}
	response, err := b.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(t.path), "=", t.at)).Then(op).Commit()
	if err != nil {
		return 0, false, err
	}
	return response.Header.Revision, response.Succeeded, nil
}

// request is the transaction as etcd's protocol has it.
func (t *transaction) request() *pb.TxnRequest {
	key := []byte(t.path)
	r := &struct {
		txn     pb.TxnRequest
		compare pb.Compare
		op      pb.RequestOp
	}{
		compare: pb.Compare{Key: key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_ModRevision{ModRevision: t.at}},
	}
	if t.value != nil {
		r.op.Request = &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: t.value, Lease: int64(t.lease)}}
	} else {
		r.op.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}
	}
	r.txn.Compare, r.txn.Success = []*pb.Compare{&r.compare}, []*pb.RequestOp{&r.op}
	return &r.txn
}

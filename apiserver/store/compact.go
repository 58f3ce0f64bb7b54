package store

import (
	"context"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"
)

// compactKey is where all API servers on one etcd, upstream's too, agree on who compacts: its version counts the
// intervals, its value is the revision noted in the one before.
const compactKey = "compact_rev_key"

// compact drops history that is older than one or two intervals. Whoever counts the key up does it, all others see
// that it has been done.
func (b *Backend) compact() {
	ticker := time.NewTicker(b.options.CompactEvery)
	defer ticker.Stop()
	var version, revision int64
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(b.ctx, revisionTimeout)
		v, r, err := b.compactOnce(ctx, version, revision)
		cancel()
		if err != nil {
			if b.ctx.Err() == nil {
				klog.V(1).InfoS("Compacting etcd failed", "err", err)
			}
			continue
		}
		version, revision = v, r
	}
}

// compactOnce compacts at the revision of the last interval if nobody else was faster.
func (b *Backend) compactOnce(ctx context.Context, version, revision int64) (int64, int64, error) {
	response, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Version(compactKey), "=", version)).
		Then(clientv3.OpPut(compactKey, strconv.FormatInt(revision, 10))).
		Else(clientv3.OpGet(compactKey)).
		Commit()
	if err != nil {
		return 0, 0, err
	}
	now := response.Header.Revision
	if !response.Succeeded {
		kvs := response.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 {
			return 0, now, nil
		}
		if by, err := strconv.ParseInt(string(kvs[0].Value), 10, 64); err == nil {
			b.compacted.Store(by)
		}
		return kvs[0].Version, now, nil
	}
	if revision > 0 {
		if _, err := b.client.Compact(ctx, revision); err != nil {
			return 0, 0, err
		}
		b.compacted.Store(revision)
	}
	return version + 1, now, nil
}

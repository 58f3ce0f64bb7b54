package store

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leases shares etcd leases among objects that live equally long, since one for each would cost as much as the object. An object may
// so live up to a minute longer than asked.
type leases struct {
	backend *Backend
	mu      sync.Mutex
	byTTL   map[time.Duration]*lease
}

type lease struct {
	id clientv3.LeaseID
	// until when new objects may use it, and how many more.
	until time.Time
	left  int
}

const (
	// DefaultLeaseReuse is upstream's --lease-reuse-duration-seconds.
	DefaultLeaseReuse = time.Minute
	leaseObjects      = 1000
)

// get returns a lease that lasts at least ttl. Holding the lock while etcd grants one makes the others wait for that one.
func (l *leases) get(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if shared := l.byTTL[ttl]; shared != nil && shared.left > 0 && now.Before(shared.until) {
		shared.left--
		return shared.id, nil
	}
	// Short lives are kept nearly exact.
	reuse := min(l.backend.options.LeaseReuse, ttl/20)
	granted, err := l.backend.client.Grant(ctx, int64((ttl+reuse+time.Second-1)/time.Second))
	if err != nil {
		return 0, err
	}
	if l.byTTL == nil {
		l.byTTL = map[time.Duration]*lease{}
	}
	l.byTTL[ttl] = &lease{id: granted.ID, until: now.Add(reuse), left: leaseObjects - 1}
	return granted.ID, nil
}

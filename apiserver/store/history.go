package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// pages keeps a few snapshots for the further pages of lists that are under way. What they hold beyond the present state
// is only what changed since.
type pages struct {
	mu   sync.Mutex
	kept []keptPage // oldest first
}

type keptPage struct {
	revision int64
	snapshot *snapshot
}

const pagesKept = 8

func (p *pages) keep(revision int64, s *snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, k := range p.kept {
		if k.revision == revision {
			p.kept = append(append(p.kept[:i], p.kept[i+1:]...), k)
			return
		}
	}
	if len(p.kept) == pagesKept {
		p.kept = append(p.kept[:0], p.kept[1:]...)
	}
	p.kept = append(p.kept, keptPage{revision, s})
}

func (p *pages) find(revision int64) *snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kept {
		if k.revision == revision {
			return k.snapshot
		}
	}
	return nil
}

func (p *pages) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = nil
}

// listHistory lists from etcd at an old revision.
func (c *Cache) listHistory(ctx context.Context, q *Query, sel *selected, v *view) (*Page, error) {
	page := &Page{Revision: v.revision}
	low := c.prefix
	end := clientv3.GetPrefixRangeEnd(c.prefix)
	if q.Namespace != "" {
		low += q.Namespace + "/"
		end = clientv3.GetPrefixRangeEnd(low)
	}
	if v.start != nil {
		low = c.path(*v.start)
	}
	for {
		began := time.Now()
		response, err := c.backend.client.Get(ctx, low, clientv3.WithRange(end), clientv3.WithLimit(fillPage), clientv3.WithRev(v.revision))
		c.meter.list.observe(began, err)
		if errors.Is(err, rpctypes.ErrCompacted) {
			return nil, v.expired()
		}
		if err != nil {
			return nil, err
		}
		for i, kv := range response.Kvs {
			item, err := c.decode(ctx, kv)
			if err != nil {
				return nil, err
			}
			if sel.matches(item) {
				page.Items = append(page.Items, item)
			}
			left := response.Count - int64(i) - 1
			if q.Limit > 0 && int64(len(page.Items)) == q.Limit && left > 0 {
				page.Continue = newToken(q.Namespace, item.Key, v.revision)
				if sel.byPlace() && sel.name == "" {
					page.Remaining = &left
				}
				return page, nil
			}
			low = string(kv.Key) + "\x00"
		}
		if !response.More {
			return page, nil
		}
	}
}

package store

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Get returns the object.
func (c *Cache) Get(ctx context.Context, key Key, resourceVersion string) (*Item, error) {
	item, err := c.get(ctx, key, resourceVersion)
	return item, c.status("get", err)
}

func (c *Cache) get(ctx context.Context, key Key, resourceVersion string) (*Item, error) {
	asked, err := parseRevision(resourceVersion)
	if err != nil {
		return nil, err
	}
	switch {
	case resourceVersion == "":
		_, err = c.progress(ctx)
	case asked > 0:
		if _, err = c.current(ctx); err == nil {
			err = c.reach(ctx, asked)
		}
	}
	if err != nil {
		return nil, err
	}
	s, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	if item := s.all.get(key); item != nil {
		return item, nil
	}
	return nil, apierrors.NewNotFound(c.kind.GroupResource(), key.Name)
}

// List returns what a Query selects, in key order.
func (c *Cache) List(ctx context.Context, q Query) (*Page, error) {
	page, err := c.list(ctx, &q)
	return page, c.status("list", err)
}

func (c *Cache) list(ctx context.Context, q *Query) (*Page, error) {
	sel, err := c.newSelected(q)
	if err != nil {
		return nil, err
	}
	q.Limit = max(q.Limit, 0) // as upstream: a negative limit is none
	view, err := c.view(ctx, q)
	if err != nil {
		return nil, err
	}
	if view.snapshot == nil {
		return c.listHistory(ctx, q, sel, view)
	}
	page := c.pick(view, sel, int(q.Limit))
	if page.Continue != "" {
		c.pages.keep(view.revision, view.snapshot)
	}
	return page, nil
}

// view is what a list looks at: a snapshot, or if that is nil etcd itself at a revision.
type view struct {
	snapshot *snapshot
	revision int64
	// start is the first key wanted; nil: from the beginning.
	start *Key
	// continued is set for pages after the first.
	continued bool
	namespace string
}

// view finds the state that resourceVersion, resourceVersionMatch and continue ask for.
func (c *Cache) view(ctx context.Context, q *Query) (*view, error) {
	v := &view{namespace: q.Namespace}
	asked, err := parseRevision(q.ResourceVersion)
	if err != nil {
		return nil, err
	}
	exact := q.Match == metav1.ResourceVersionMatchExact ||
		// The older form: a limit with a revision asks for just that revision.
		q.Match == "" && q.Limit > 0 && asked > 0
	if q.Continue != "" {
		if asked > 0 {
			return nil, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
		}
		token, err := parseToken(q.Continue, q.Namespace)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
		}
		v.start, v.continued = &token.start, true
		exact, asked = token.revision > 0, max(0, token.revision)
	}
	switch {
	case exact:
		return v, c.viewExact(ctx, v, asked)
	case asked > 0:
		if _, err = c.current(ctx); err == nil {
			err = c.reach(ctx, asked)
		}
	case q.ResourceVersion != "0":
		_, err = c.progress(ctx)
	}
	if err != nil {
		return nil, err
	}
	return v, c.viewLatest(ctx, v)
}

// viewLatest takes the snapshot at hand. The feed's revision is read first: the snapshot has at least that.
func (c *Cache) viewLatest(ctx context.Context, v *view) (err error) {
	reached := c.backend.feed.revision.Load()
	if v.snapshot, err = c.current(ctx); err != nil {
		return err
	}
	v.revision = max(reached, v.snapshot.revision)
	return nil
}

// viewExact takes a snapshot that was the state at a revision: the present one if nothing changed since, one that was kept
// for further pages, else none. What etcd has compacted away is gone, though it may be known here: how long a token lasts
// shall not depend on what else happened.
func (c *Cache) viewExact(ctx context.Context, v *view, revision int64) error {
	if _, err := c.current(ctx); err != nil {
		return err
	}
	if err := c.reach(ctx, revision); err != nil {
		return err
	}
	v.revision = revision
	if revision < c.backend.compacted.Load() {
		return v.expired()
	}
	s, err := c.current(ctx)
	if err != nil {
		return err
	}
	if s.revision <= revision {
		v.snapshot = s
	} else {
		v.snapshot = c.pages.find(revision)
	}
	return nil
}

// expired is the answer to a list at a revision that is no more.
func (v *view) expired() error {
	if v.continued {
		return expiredContinue(newTokenAt(v.namespace, *v.start, -1))
	}
	return newExpired("the requested resource version is no longer in etcd")
}

// pick collects a page.
func (c *Cache) pick(v *view, sel *selected, limit int) *Page {
	t, from, to := c.candidates(v.snapshot, sel, v.start)
	page := &Page{Revision: v.revision}
	size := to - from
	if limit > 0 {
		size = min(size, limit)
	}
	if sel.byPlace() {
		page.Items = make([]*Item, 0, size)
	}
	more, position := false, from
	t.ascend(from, func(item *Item) bool {
		if position >= to {
			return false
		}
		if limit > 0 && len(page.Items) == limit {
			// With a selector that leaves nothing more this page has a token and the next is empty; so it is upstream.
			more = true
			return false
		}
		position++
		if sel.matches(item) {
			page.Items = append(page.Items, item)
		}
		return true
	})
	if more {
		last := page.Items[len(page.Items)-1]
		page.Continue = newToken(v.namespace, last.Key, v.revision)
		if sel.byPlace() && (sel.name == "" || sel.namespace != "") {
			remaining := int64(to - position)
			page.Remaining = &remaining
		}
	}
	return page
}

// Count is how many objects there are at hand; 0 before the cache has been filled.
func (c *Cache) Count() int {
	if s := c.snapshot.Load(); s != nil {
		return s.all.len()
	}
	return 0
}

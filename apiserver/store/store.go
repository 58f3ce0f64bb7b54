// Package store keeps the objects of one kind: in etcd, under upstream's keys and in upstream's encoding, with a
// watch cache in front of it that answers reads consistently from memory and fans out changes.
package store

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/resource"
)

// Key names an object. Namespace is empty for cluster-scoped kinds.
type Key struct{ Namespace, Name string }

// Encoding is a wire form of objects. Name identifies it (media type and version: "application/json;v1");
// an Item keeps the bytes of each Encoding that was asked for, within a bound over all of the process.
type Encoding struct {
	Name   string
	Encode func(resource.Object) ([]byte, error)
}

// Preconditions must hold for the stored object, else the write is refused with Conflict.
type Preconditions struct {
	UID             *types.UID
	ResourceVersion *string
}

// Store is optimistic storage of the objects of one kind. Objects that come out are shared and immutable;
// those that go in belong to the store afterwards. Errors are *apierrors.StatusError with the reason that a client
// expects: NotFound, AlreadyExists, Conflict, Expired (410), Timeout, TooManyRequests, InternalError, …
// All methods are safe for concurrent use.
type Store interface {
	// Create adds an object, AlreadyExists if the key is taken. A positive ttl lets etcd remove it after that time.
	Create(ctx context.Context, key Key, obj resource.Object, ttl time.Duration) (*Item, error)
	// Get returns the object; resourceVersion "" is the latest (linearizable), "0" whatever is at hand, another one at least that new.
	Get(ctx context.Context, key Key, resourceVersion string) (*Item, error)
	// List returns what a Query selects, in key order.
	List(ctx context.Context, query Query) (*Page, error)
	// Update replaces the object by what change returns, called again with the newest object whenever another writer was faster.
	// change must not modify current. current is nil if the key does not exist and orCreate is set; else NotFound.
	// If the encoded result equals what is stored, nothing is written, and changed is false.
	Update(ctx context.Context, key Key, pre *Preconditions, orCreate bool, change Change) (item *Item, changed bool, err error)
	// Delete removes the object if check (may be nil) agrees, called again after a lost race. It returns the last
	// state with the resourceVersion of the deletion.
	Delete(ctx context.Context, key Key, pre *Preconditions, check func(current *Item) error) (*Item, error)
	// Watch delivers changes from a resourceVersion on. Ended by ctx, Stop, or falling behind.
	Watch(ctx context.Context, query WatchQuery) (Watcher, error)
	// State is all objects as they are at hand, without asking etcd, and cheap to compare with an earlier one.
	State(ctx context.Context) (State, error)
	// Progress asks etcd for the current revision and waits until the cache has reached it.
	Progress(ctx context.Context) (revision int64, err error)
	// Ready is nil once the cache has been filled.
	Ready() error
	// Retire ends all watches, without an error, so that their clients go on with the store that takes this one's place.
	Retire()
	// Stop ends the cache and all watches.
	Stop()
}

// Change computes the new object from the current one and how long it lives (0: keep forever).
type Change func(current *Item) (obj resource.Object, ttl time.Duration, err error)

// Query selects objects. The zero value is all, at the latest revision.
type Query struct {
	Namespace, Name string
	Labels          labels.Selector // nil: all
	Fields          fields.Selector // nil: all; by the kind's Fields, metadata.name and metadata.namespace
	// ResourceVersion and Match as in the API: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
	ResourceVersion string
	Match           metav1.ResourceVersionMatch
	// Limit 0 is no limit. Continue is the token of the Page before.
	Limit    int64
	Continue string
}

// Page is one answer to a List.
type Page struct {
	Items []*Item
	// Revision of the snapshot that all pages of one list show.
	Revision int64
	// Continue asks for the next page; empty on the last.
	Continue string
	// Remaining is how many follow; nil if not known (selectors) or none.
	Remaining *int64
}

// WatchQuery selects changes. Limit and Continue have no meaning here.
type WatchQuery struct {
	Query
	// SendInitialEvents: first an ADDED for each object, then a BOOKMARK with the annotation k8s.io/initial-events-end.
	// Nil with ResourceVersion "" or "0" sends them without the bookmark (the older form).
	SendInitialEvents *bool
	// Bookmarks are wanted: about one a minute when idle.
	Bookmarks bool
}

// Event is one change. For Deleted the Item is the last state, with the revision of the deletion; for Bookmark
// it has no data but the revision. An object that enters or leaves the selection is Added or Deleted.
type Event struct {
	Type watch.EventType
	Item *Item
	// Initial marks the bookmark that ends the initial events.
	Initial bool
	// Err, with Type Error, is the Status to send before the watch ends (410 Expired, …).
	Err error
}

// Watcher is a running watch.
type Watcher interface {
	// Events is closed at the end. Batches are slices shared by all watchers: never change them.
	Events() <-chan []Event
	Stop()
}

// Directed is a Watcher that can do without a goroutine of its reader's for each event.
type Directed interface {
	Watcher
	// Direct has events offered to d first, as long as all batches from Events are done with; what d does not take comes from Events.
	Direct(d Direct)
	// Done says that batches from Events are done with.
	Done(batches int)
}

// Direct takes events of a live watch.
type Direct interface {
	// Offer takes the first of the events, as many as it can without waiting, and returns how many. They are under way when later is
	// flushed, if it is not nil. Events are encoded for it only if dear, since that keeps other watchers waiting.
	Offer(events []Event, dear bool) (taken int, later interface{ Flush() })
}

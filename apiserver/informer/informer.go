// Package informer makes informers for components in the API server's process: they hold the very objects that the watch cache
// holds, so that there is one copy of each in memory, and nothing is encoded on the way. Objects are shared and must not be changed.
package informer

import (
	"context"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// show makes of a stored object what an informer holds.
type show func(item *store.Item) (runtime.Object, error)

// source lists and watches the store of a resource; it is a cache.ListerWatcher. A custom resource has another store after each change
// of its definition, so it is looked up each time.
type source struct {
	registry *rest.Registry
	resource schema.GroupVersionResource
	show     func(r *rest.Resource) show
}

// current is the Resource as it is served now; NotFound if it is not.
func (s *source) current() (*rest.Resource, error) {
	if r := s.registry.Get(s.resource); r != nil {
		return r, nil
	}
	return nil, apierrors.NewNotFound(s.resource.GroupResource(), "")
}

// newInformer makes an informer of a resource's own objects.
func newInformer(s *source, sample runtime.Object) cache.SharedIndexInformer {
	return cache.NewSharedIndexInformer(s, sample, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}

// IsWatchListSemanticsUnSupported tells reflectors to list, then watch: that costs nothing here.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

// List is cache.ListerWatcher.
func (s *source) List(options metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), options)
}

// ListWithContext returns all objects at once, at the latest revision.
func (s *source) ListWithContext(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	r, err := s.current()
	if err != nil {
		return nil, err
	}
	page, err := r.Open().List(ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	show := s.show(r)
	list := &internalversion.List{Items: make([]runtime.Object, len(page.Items))}
	list.ResourceVersion = rest.Version(page.Revision)
	for i, item := range page.Items {
		if list.Items[i], err = show(item); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Watch is cache.ListerWatcher.
func (s *source) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), options)
}

// WatchWithContext delivers changes from a version on.
func (s *source) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	query := store.WatchQuery{Bookmarks: options.AllowWatchBookmarks}
	query.ResourceVersion = options.ResourceVersion
	r, err := s.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	watcher, err := r.Open().Watch(ctx, query)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &stream{resource: r, show: s.show(r), watcher: watcher, cancel: cancel, events: make(chan watch.Event, 64)}
	go w.run(ctx)
	return w, nil
}

// stream is a running watch.
type stream struct {
	resource *rest.Resource
	show     show
	watcher  store.Watcher
	cancel   context.CancelFunc
	events   chan watch.Event
}

// ResultChan is watch.Interface.
func (w *stream) ResultChan() <-chan watch.Event { return w.events }

// Stop is watch.Interface.
func (w *stream) Stop() {
	w.cancel()
	w.watcher.Stop()
}

func (w *stream) run(ctx context.Context) {
	defer close(w.events)
	defer w.watcher.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.resource.Env.Draining:
			return
		case batch, open := <-w.watcher.Events():
			if !open || !w.send(ctx, batch) {
				return
			}
		}
	}
}

func (w *stream) send(ctx context.Context, batch []store.Event) bool {
	for i := range batch {
		select {
		case w.events <- w.event(&batch[i]):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (w *stream) event(from *store.Event) watch.Event {
	if from.Type == watch.Error {
		return watch.Event{Type: watch.Error, Object: rest.ErrorStatus(from.Err)}
	}
	obj, err := w.object(from)
	if err != nil {
		return watch.Event{Type: watch.Error, Object: rest.ErrorStatus(err)}
	}
	return watch.Event{Type: from.Type, Object: obj}
}

func (w *stream) object(from *store.Event) (runtime.Object, error) {
	if from.Type != watch.Bookmark {
		return w.show(from.Item)
	}
	obj := w.resource.New()
	obj.SetResourceVersion(rest.Version(from.Item.Revision))
	return w.show(&store.Item{Object: obj, Revision: from.Item.Revision})
}

// byType finds the Resource whose objects are of a Go type.
func byType(registry *rest.Registry, sample runtime.Object) *rest.Resource {
	wanted := reflect.TypeOf(sample)
	for _, r := range registry.All().Ordered {
		if r.Type() == wanted && r.Stored() {
			return r
		}
	}
	return nil
}

package crd

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Field selectors name fields of the version that is asked for. Where a webhook converts, the store, which has objects as they were
// written, cannot tell which fit; so they are converted first and selected then.

// selecting returns a version's view of the store.
func (s *stored) selecting(r *rest.Resource) func() store.Store {
	return func() store.Store { return &selectingStore{s.open(), r} }
}

type selectingStore struct {
	store.Store
	r *rest.Resource
}

// custom says whether a selector names more than metadata.
func custom(selector fields.Selector) bool {
	if selector == nil {
		return false
	}
	for _, requirement := range selector.Requirements() {
		if requirement.Field != "metadata.name" && requirement.Field != "metadata.namespace" {
			return true
		}
	}
	return false
}

// fieldsOf are the values of an object by which it can be selected.
func (s *selectingStore) fieldsOf(obj resource.Object) fields.Set {
	set := fields.Set{"metadata.name": obj.GetName(), "metadata.namespace": obj.GetNamespace()}
	for i := range s.r.Fields {
		set[s.r.Fields[i].Name] = s.r.Fields[i].Value(obj)
	}
	return set
}

// fitting are the items that a selector fits, converted all at once for that.
func (s *selectingStore) fitting(items []*store.Item, selector fields.Selector) ([]bool, error) {
	objs := make([]resource.Object, len(items))
	for i, item := range items {
		objs[i] = item.Object
	}
	converted, err := s.r.From(objs)
	if err != nil {
		return nil, err
	}
	fit := make([]bool, len(items))
	for i, obj := range converted {
		fit[i] = selector.Matches(s.fieldsOf(obj))
	}
	return fit, nil
}

// List is store.Store. A page may have fewer items than its limit, also none, though others follow.
func (s *selectingStore) List(ctx context.Context, query store.Query) (*store.Page, error) {
	selector := query.Fields
	if !custom(selector) {
		return s.Store.List(ctx, query)
	}
	query.Fields = nil
	page, err := s.Store.List(ctx, query)
	if err != nil || len(page.Items) == 0 {
		return page, err
	}
	fit, err := s.fitting(page.Items, selector)
	if err != nil {
		return nil, err
	}
	chosen := &store.Page{Revision: page.Revision, Continue: page.Continue}
	for i, item := range page.Items {
		if fit[i] {
			chosen.Items = append(chosen.Items, item)
		}
	}
	return chosen, nil
}

// Watch is store.Store.
func (s *selectingStore) Watch(ctx context.Context, query store.WatchQuery) (store.Watcher, error) {
	selector := query.Fields
	if !custom(selector) {
		return s.Store.Watch(ctx, query)
	}
	w := &selectingWatcher{selectingStore: s, selector: selector, in: map[store.Key]bool{}, events: make(chan []store.Event)}
	query.Fields = nil
	initial := query.SendInitialEvents == nil && (query.ResourceVersion == "" || query.ResourceVersion == "0") ||
		query.SendInitialEvents != nil && *query.SendInitialEvents
	if !initial {
		if err := w.begin(ctx, &query); err != nil {
			return nil, err
		}
	}
	below, err := s.Store.Watch(ctx, query)
	if err != nil {
		return nil, err
	}
	w.below = below
	ctx, w.cancel = context.WithCancel(ctx)
	go w.run(ctx)
	return w, nil
}

// selectingWatcher knows which objects its client has been told of, so that it can say when one comes or goes.
type selectingWatcher struct {
	*selectingStore
	selector fields.Selector
	below    store.Watcher
	events   chan []store.Event
	cancel   context.CancelFunc
	in       map[store.Key]bool
}

// begin finds out which objects fit at the revision from which the watch begins.
func (w *selectingWatcher) begin(ctx context.Context, query *store.WatchQuery) error {
	at := query.Query
	if at.ResourceVersion == "" || at.ResourceVersion == "0" {
		at.ResourceVersion = ""
	} else {
		at.Match = metav1.ResourceVersionMatchExact
	}
	page, err := w.Store.List(ctx, at)
	if err != nil {
		return err
	}
	query.ResourceVersion = rest.Version(page.Revision)
	if len(page.Items) == 0 {
		return nil
	}
	fit, err := w.fitting(page.Items, w.selector)
	for i := range fit {
		if fit[i] {
			w.in[page.Items[i].Key] = true
		}
	}
	return err
}

// Events is store.Watcher.
func (w *selectingWatcher) Events() <-chan []store.Event { return w.events }

// Stop is store.Watcher.
func (w *selectingWatcher) Stop() {
	w.cancel()
	w.below.Stop()
}

func (w *selectingWatcher) run(ctx context.Context) {
	defer close(w.events)
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case batch, open := <-w.below.Events():
			if !open {
				return
			}
			chosen, err := w.choose(batch)
			if err != nil {
				chosen = append(chosen, store.Event{Type: watch.Error, Err: err})
			}
			if len(chosen) == 0 {
				continue
			}
			select {
			case w.events <- chosen:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// choose says what a batch comes to for the client.
func (w *selectingWatcher) choose(batch []store.Event) ([]store.Event, error) {
	var items []*store.Item
	for i := range batch {
		if t := batch[i].Type; t == watch.Added || t == watch.Modified {
			items = append(items, batch[i].Item)
		}
	}
	var fit []bool
	if len(items) > 0 {
		var err error
		if fit, err = w.fitting(items, w.selector); err != nil {
			return nil, err
		}
	}
	var chosen []store.Event
	for i := range batch {
		event, isIn := batch[i], false
		if event.Type == watch.Bookmark || event.Type == watch.Error {
			chosen = append(chosen, event)
			continue
		}
		if event.Type != watch.Deleted {
			isIn, fit = fit[0], fit[1:]
		}
		wasIn := w.in[event.Item.Key]
		switch {
		case isIn && wasIn:
			event.Type = watch.Modified
		case isIn:
			event.Type = watch.Added
		case wasIn:
			event.Type = watch.Deleted
		default:
			continue
		}
		if isIn {
			w.in[event.Item.Key] = true
		} else {
			delete(w.in, event.Item.Key)
		}
		chosen = append(chosen, event)
	}
	return chosen, nil
}

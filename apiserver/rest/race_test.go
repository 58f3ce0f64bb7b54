package rest

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
)

// behind is a store whose cache still has an object that is gone: what came of the stale one is forgotten.
type behind struct{ store.Store }

func (behind) Update(_ context.Context, key store.Key, _ *store.Preconditions, _ bool, change store.Change) (*store.Item, bool, error) {
	stale := builtin.All()[0].New()
	if _, _, err := change(&store.Item{Key: key, Object: stale}); err == nil {
		return nil, false, errors.New("the stale object was good enough")
	}
	return nil, false, apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, key.Name)
}

// TestWhatCameOfAStaleObjectIsForgotten: an update that conflicts with what the cache had last is told what is now.
func TestWhatCameOfAStaleObjectIsForgotten(t *testing.T) {
	t.Parallel()
	r := New(builtin.All()[0], &Env{Fields: NewFields(nil)}, func() store.Store { return behind{} })
	for name, earlier := range map[string]error{
		"a conflict": apierrors.NewConflict(schema.GroupResource{Resource: "things"}, "x", errors.New(optimisticLock)),
		"a dry run":  errDry, "nothing left": errEmptied,
	} {
		w := &write{Request: &resource.Request{}, r: r, key: store.Key{Name: "x"}}
		_, _, err := w.change(t.Context(), nil, false, func(resource.Object) (resource.Object, error) { return nil, earlier })
		if !apierrors.IsNotFound(err) {
			t.Errorf("after %s: %v; want that nothing is there", name, err)
		}
	}
}

// finished is a store in which others write an object as soon as it is marked as deleted, and then remove it.
type finished struct {
	store.Store
	item   *store.Item
	marked bool
}

func (f *finished) Get(_ context.Context, key store.Key, _ string) (*store.Item, error) {
	if f.marked {
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, key.Name)
	}
	return f.item, nil
}

func (f *finished) Update(_ context.Context, key store.Key, _ *store.Preconditions, _ bool, change store.Change) (*store.Item, bool, error) {
	obj, _, err := change(f.item)
	f.marked = true
	return &store.Item{Key: key, Object: obj, Revision: f.item.Revision + 1}, true, err
}

func (f *finished) Delete(_ context.Context, key store.Key, _ *store.Preconditions, check func(*store.Item) error) (*store.Item, error) {
	return nil, check(&store.Item{Key: key, Object: f.item.Object, Revision: f.item.Revision + 2})
}

// TestADeletionThatOthersFinishSucceeds: what a deletion has begun may be gone before it looks again, and that is what its client wanted.
func TestADeletionThatOthersFinishSucceeds(t *testing.T) {
	t.Parallel()
	kind := builtin.All()[0]
	key := store.Key{Name: "x"}
	obj := kind.New()
	obj.SetName("x")
	held := &finished{item: &store.Item{Key: key, Object: obj, Revision: 1}}
	r := New(kind, &Env{Fields: NewFields(nil)}, func() store.Store { return held })
	w := &write{Request: &resource.Request{}, r: r, key: key}
	p := removal{mark: kind.New(), remove: true}
	_, _, err := w.carryOut(t.Context(), held.item, p, &metav1.DeleteOptions{})
	if !errors.Is(err, errChanged) || w.marked == nil {
		t.Errorf("the object has changed since it was marked: %v", err)
	}
	_, err = held.Get(t.Context(), key, "")
	if last, gone, err := w.over(nil, false, err); err != nil || !gone || last != w.marked {
		t.Errorf("the object is gone: %v, %t, %v", last, gone, err)
	}
}

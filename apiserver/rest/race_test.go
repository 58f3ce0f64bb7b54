package rest

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

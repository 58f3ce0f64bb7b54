package crd

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// pause is how long to wait after a watch of the definitions has ended, and before a status is written again that could not be.
const pause = 200 * time.Millisecond

// Run follows the definitions until ctx ends.
func (d *Definitions) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.follow(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Info("Following CustomResourceDefinitions was interrupted, resuming", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	d.finalizers.wait()
}

// follow serves all definitions, then each change, until the watch ends.
func (d *Definitions) follow(ctx context.Context) error {
	definitions := d.config.Resources.Get(Resource).Open()
	page, err := definitions.List(ctx, store.Query{})
	if err != nil {
		return err
	}
	f := &follower{Definitions: d, all: make(map[string]*apiextensionsv1.CustomResourceDefinition, len(page.Items)), dirty: map[string]bool{}}
	for _, item := range page.Items {
		f.note(item.Key.Name, item)
	}
	for name := range d.served {
		f.dirty[name] = true // it may be gone
	}
	f.settle(ctx)
	d.synced.Store(true)
	query := store.WatchQuery{Query: store.Query{ResourceVersion: rest.Version(page.Revision)}}
	watcher, err := definitions.Watch(ctx, query)
	if err != nil {
		return err
	}
	defer watcher.Stop()
	return f.run(ctx, watcher)
}

// follower is one run of the watch.
type follower struct {
	*Definitions
	// all are the definitions by name. Those whose status this server has just written are newer than the watch has told.
	all map[string]*apiextensionsv1.CustomResourceDefinition
	// dirty are the names to look at.
	dirty map[string]bool
}

func (f *follower) run(ctx context.Context, watcher store.Watcher) error {
	var again <-chan time.Time // when something is left to be done
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case batch, open := <-watcher.Events():
			if !open {
				return nil
			}
			for i := range batch {
				if batch[i].Type == watch.Error {
					return batch[i].Err
				}
				f.observe(&batch[i])
			}
		}
		f.settle(ctx)
		again = nil
		if len(f.dirty) > 0 {
			again = time.After(pause)
		}
	}
}

func (f *follower) observe(event *store.Event) {
	switch event.Type {
	case watch.Added, watch.Modified:
		f.note(event.Item.Key.Name, event.Item)
	case watch.Deleted:
		f.forget(event.Item.Key.Name)
	}
}

// note takes a definition as it is now; an older state than the one at hand is left alone.
func (f *follower) note(name string, item *store.Item) {
	crd, ok := item.Object.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return
	}
	if known := f.all[name]; known != nil && known.UID == crd.UID && newer(known.ResourceVersion, crd.ResourceVersion) {
		return
	}
	f.all[name] = crd
	f.dirty[name] = true
}

// newer compares two revisions as decimal numbers.
func newer(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}

// forget drops a definition, which may free names that others in its group want.
func (f *follower) forget(name string) {
	gone := f.all[name]
	delete(f.all, name)
	f.dirty[name] = true
	if gone != nil {
		f.wake(gone.Spec.Group)
	}
}

// wake looks again at the definitions of a group that have not got all the names that they want.
func (f *follower) wake(group string) {
	for name, crd := range f.all {
		if crd.Spec.Group == group && !sameNames(&crd.Spec.Names, &crd.Status.AcceptedNames) {
			f.dirty[name] = true
		}
	}
}

// settle brings what is served in line with the dirty definitions, then writes their status: who reads there that a resource is
// established can use it.
func (f *follower) settle(ctx context.Context) {
	decided := make(map[string]*apiextensionsv1.CustomResourceDefinition, len(f.dirty))
	for _, name := range f.order() {
		crd := f.all[name]
		if crd != nil {
			crd = decide(crd, f.taken(crd, decided), time.Now())
		}
		decided[name] = crd
	}
	f.serve(ctx, decided)
	for name, crd := range decided {
		if f.finish(ctx, name, crd) {
			delete(f.dirty, name)
		}
	}
}

// finish writes what was decided of a definition and goes on with its deletion. False: try again.
func (f *follower) finish(ctx context.Context, name string, crd *apiextensionsv1.CustomResourceDefinition) bool {
	if crd == nil {
		f.finalizers.stop(name)
		return true
	}
	if crd != f.all[name] {
		written, err := f.writeStatus(ctx, crd)
		switch {
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			return true // it has changed, and the watch will tell
		case err != nil:
			klog.FromContext(ctx).Info("Cannot write the status of a CustomResourceDefinition yet", "name", name, "err", err)
			return false
		}
		released := !sameNames(&crd.Status.AcceptedNames, &f.all[name].Status.AcceptedNames)
		f.all[name], crd = written, written
		if released {
			f.wake(crd.Spec.Group)
			delete(f.dirty, name)
		}
	}
	if mayFinalize(crd) {
		f.finalize(ctx, crd)
	}
	return true
}

// order is that in which dirty definitions get their names: the older one first.
func (f *follower) order() []string {
	created := func(name string) time.Time {
		if crd := f.all[name]; crd != nil {
			return crd.CreationTimestamp.Time
		}
		return time.Time{}
	}
	return slices.SortedFunc(maps.Keys(f.dirty), func(a, b string) int {
		return cmp.Or(created(a).Compare(created(b)), cmp.Compare(a, b))
	})
}

// taken are the names that definitions of the group have, or are about to get.
func (f *follower) taken(crd *apiextensionsv1.CustomResourceDefinition, decided map[string]*apiextensionsv1.CustomResourceDefinition) *names {
	used := newNames()
	for name, other := range f.all {
		if newer := decided[name]; newer != nil {
			other = newer
		}
		if other.Spec.Group == crd.Spec.Group {
			used.add(&other.Status.AcceptedNames)
		}
	}
	return used
}

package crd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

const (
	cleanup = apiextensionsv1.CustomResourceCleanupFinalizer
	// patience is how long objects may take to go before the definition's condition tells that something holds them.
	patience = time.Minute
	// retry is the pause before a deletion that failed is tried again.
	retry = 2 * time.Second
)

// finalizers are the deletions under way, a goroutine each.
type finalizers struct {
	mu      sync.Mutex
	running map[string]running // by name of the definition
	group   sync.WaitGroup
}

type running struct {
	uid    types.UID
	cancel context.CancelFunc
}

// start runs a deletion unless it runs already.
func (f *finalizers) start(ctx context.Context, name string, uid types.UID, run func(context.Context)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, found := f.running[name]; found {
		if old.uid == uid {
			return
		}
		old.cancel()
	}
	if f.running == nil {
		f.running = map[string]running{}
	}
	ctx, cancel := context.WithCancel(ctx)
	f.running[name] = running{uid, cancel}
	f.group.Go(func() {
		defer f.ended(name, uid)
		run(ctx)
	})
}

func (f *finalizers) ended(name string, uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, found := f.running[name]; found && r.uid == uid {
		r.cancel()
		delete(f.running, name)
	}
}

// stop ends the deletion of a definition that is gone.
func (f *finalizers) stop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, found := f.running[name]; found {
		r.cancel()
	}
}

func (f *finalizers) wait() { f.group.Wait() }

// mayFinalize says whether a definition waits for its objects to be deleted.
func mayFinalize(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return crd.DeletionTimestamp != nil && slices.Contains(crd.Finalizers, cleanup)
}

// finalize deletes the objects of a definition, then lets it go.
func (d *Definitions) finalize(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) {
	d.finalizers.start(ctx, crd.Name, crd.UID, func(ctx context.Context) {
		for {
			outcome, err := d.empty(ctx, crd)
			if err == nil {
				if err = d.release(ctx, crd, outcome); err == nil || apierrors.IsNotFound(err) {
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			klog.FromContext(ctx).Info("Objects of a CustomResourceDefinition are not deleted yet", "name", crd.Name, "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(retry):
			}
		}
	})
}

// empty deletes all objects of a definition and waits until they are gone. It returns the condition to end with.
func (d *Definitions) empty(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) (apiextensionsv1.CustomResourceDefinitionCondition, error) {
	done := terminating(apiextensionsv1.ConditionFalse, "InstanceDeletionCompleted", "removed all instances")
	switch {
	case d.builtin(crd):
		return terminating(apiextensionsv1.ConditionFalse, "OverlappingBuiltInResource", "instances overlap with built-in resources in storage"), nil
	case !isTrue(crd, apiextensionsv1.Established):
		return terminating(apiextensionsv1.ConditionFalse, "NeverEstablished", "resource was never established"), nil
	}
	d.tell(ctx, crd, terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionInProgress", "CustomResource deletion is in progress"))
	r := d.whole(crd)
	if r == nil {
		return done, errors.New("the definition is not served yet")
	}
	left, revision, err := deleteAll(ctx, r)
	if err != nil {
		d.tell(ctx, crd, terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionFailed", fmt.Sprintf("could not issue all deletes: %v", err)))
		return done, err
	}
	if err := awaitGone(ctx, r, left, revision); err != nil {
		d.tell(ctx, crd, terminating(apiextensionsv1.ConditionTrue, "InstanceDeletionCheck", fmt.Sprintf("could not confirm zero CustomResources remaining: %v", err)))
		return done, err
	}
	return done, nil
}

func terminating(status apiextensionsv1.ConditionStatus, reason, message string) apiextensionsv1.CustomResourceDefinitionCondition {
	return apiextensionsv1.CustomResourceDefinitionCondition{Type: apiextensionsv1.Terminating, Status: status, Reason: reason, Message: message}
}

// whole is a Resource of a definition's objects in the storage version, which need not be served. It is nil while nothing is.
func (d *Definitions) whole(crd *apiextensionsv1.CustomResourceDefinition) *rest.Resource {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.served[crd.Name]
	if s == nil || s.uid != crd.UID {
		return nil
	}
	for i := range crd.Spec.Versions {
		if crd.Spec.Versions[i].Storage {
			return d.resource(crd, &crd.Spec.Versions[i], s)
		}
	}
	return nil
}

// deleteAll deletes each object as a request would, and returns what was there and when.
func deleteAll(ctx context.Context, r *rest.Resource) (map[store.Key]types.UID, int64, error) {
	page, err := r.Open().List(ctx, store.Query{})
	if err != nil {
		return nil, 0, err
	}
	there := make(map[store.Key]types.UID, len(page.Items))
	var failed error
	for _, item := range page.Items {
		uid := item.Object.GetUID()
		there[item.Key] = uid
		if item.Object.GetDeletionTimestamp() != nil {
			continue
		}
		options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
		if _, err := r.DeleteAs(ctx, self, item.Key, options); err != nil && !apierrors.IsNotFound(err) {
			failed = errors.Join(failed, err)
		}
	}
	return there, page.Revision, failed
}

// self is who deletes.
var self = resource.User{Name: "system:apiserver", Groups: []string{"system:masters"}}

// awaitGone waits until no object is left of those that were there at a revision.
func awaitGone(ctx context.Context, r *rest.Resource, left map[store.Key]types.UID, revision int64) error {
	if len(left) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	watcher, err := r.Open().Watch(ctx, store.WatchQuery{Query: store.Query{ResourceVersion: rest.Version(revision)}})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	for batch := range watcher.Events() {
		for i := range batch {
			switch event := &batch[i]; event.Type {
			case watch.Error:
				return event.Err
			case watch.Deleted:
				delete(left, event.Item.Key)
			case watch.Added:
				left[event.Item.Key] = event.Item.Object.GetUID()
			}
		}
		if len(left) == 0 {
			return nil
		}
	}
	return errors.Join(context.Cause(ctx), fmt.Errorf("%d are left", len(left)))
}

// release ends the deletion: the last condition is written, and the finalizer taken away.
func (d *Definitions) release(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition, last apiextensionsv1.CustomResourceDefinitionCondition) error {
	return d.rewrite(ctx, crd, func(now *apiextensionsv1.CustomResourceDefinition) bool {
		setCondition(&now.Status, last, time.Now())
		now.Finalizers = slices.DeleteFunc(now.Finalizers, func(f string) bool { return f == cleanup })
		return true
	})
}

// tell writes a condition of a definition that is being deleted. That it could not be written does not stop the deletion.
func (d *Definitions) tell(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition, c apiextensionsv1.CustomResourceDefinitionCondition) {
	err := d.rewrite(ctx, crd, func(now *apiextensionsv1.CustomResourceDefinition) bool {
		return setCondition(&now.Status, c, time.Now())
	})
	if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
		klog.FromContext(ctx).Info("Cannot write how the deletion of a CustomResourceDefinition goes", "name", crd.Name, "err", err)
	}
}

// rewrite changes a definition as it is now, again after a conflict; nothing is written if change says so.
func (d *Definitions) rewrite(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition, change func(*apiextensionsv1.CustomResourceDefinition) bool) error {
	for {
		item, err := d.config.Resources.Get(Resource).Open().Get(ctx, store.Key{Name: crd.Name}, "")
		if err != nil {
			return err
		}
		now, ok := item.Object.DeepCopyObject().(*apiextensionsv1.CustomResourceDefinition)
		if !ok || now.UID != crd.UID {
			return apierrors.NewNotFound(Resource.GroupResource(), crd.Name)
		}
		if !change(now) {
			return nil
		}
		if _, err = d.writeStatus(ctx, now); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// writeStatus writes the status of a definition, and its finalizers, through the API.
func (d *Definitions) writeStatus(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) (*apiextensionsv1.CustomResourceDefinition, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(crd)
	if err != nil {
		return nil, err
	}
	u := unstructuredOf(content)
	written, err := d.config.Client.Resource(Resource).UpdateStatus(ctx, u, metav1.UpdateOptions{FieldManager: "kube-apiserver"})
	if err != nil {
		return nil, err
	}
	now := &apiextensionsv1.CustomResourceDefinition{}
	return now, runtime.DefaultUnstructuredConverter.FromUnstructured(written.Object, now)
}

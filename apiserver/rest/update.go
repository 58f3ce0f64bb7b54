package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

var (
	errNotObject = errors.New("admission replaced the object by something else")
	// errEmptied ends an update whose result has no reason to stay: its last finalizer is gone.
	errEmptied = errors.New("the last finalizer is gone")
	// errDry ends an update that is only tried.
	errDry = errors.New("dry run")
)

func validFields(entries []metav1.ManagedFieldsEntry) error {
	return managedfields.ValidateManagedFields(entries)
}

// update serves PUT on an object or on one of its views.
func (r *Resource) update(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	options, err := updateOptions(req)
	if err != nil {
		return err
	}
	format, err := request.BodyFormat(req, r.bodyFormats())
	if err != nil {
		return err
	}
	body, err := readBody(req)
	if err != nil {
		return err
	}
	obj, err := r.decode(body, format, strictnessOf(options.FieldValidation), s)
	if err != nil {
		return err
	}
	s.Requested(obj)
	w := r.newWrite(s, "update", options.DryRun, options.FieldManager, options)
	w.view = r.View(s.Subresource)
	if err := r.fixNamespace(obj, w.key.Namespace); err != nil {
		return err
	}
	if err := checkName(obj, w.key.Name); err != nil {
		return err
	}
	r.Kind.Default(obj)
	item, created, err := w.replace(req.Context(), obj)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if created {
		code = http.StatusCreated
	}
	return r.sendItem(rw, req, code, item)
}

// replace stores an object over the one of its name.
func (w *write) replace(ctx context.Context, obj resource.Object) (*store.Item, bool, error) {
	var pre *store.Preconditions
	if uid := obj.GetUID(); uid != "" {
		pre = &store.Preconditions{UID: &uid}
	}
	orCreate := w.r.CreateOnUpdate && w.view == nil
	return w.change(ctx, pre, orCreate, func(current resource.Object) (resource.Object, error) {
		// Whoever comes next may change the object, and may be asked again.
		next := obj.DeepCopyObject().(resource.Object)
		if current == nil {
			return next, nil
		}
		return w.track(current, next)
	})
}

// track notes the changed fields under the writer's name.
func (w *write) track(current, next resource.Object) (resource.Object, error) {
	w.dedupOwners(next, "")
	return w.r.track(current, next, w.manager, w.subresource)
}

// change is the loop of every write to an object that exists: next computes the wanted object from the current one (nil
// if there is none and orCreate is set), which then goes through admission, preparation and validation.
// The second result says whether the object was created.
func (w *write) change(ctx context.Context, pre *store.Preconditions, orCreate bool, next func(current resource.Object) (resource.Object, error)) (*store.Item, bool, error) {
	for {
		t := &attempt{write: w, next: next}
		item, changed, err := w.r.Open().Update(ctx, w.key, pre, orCreate, func(current *store.Item) (resource.Object, time.Duration, error) {
			return t.run(ctx, current)
		})
		t.settle(err)
		switch {
		case t.create != nil && errors.Is(err, errEmptied):
			item, err = w.insertOver(ctx, t.create)
			if apierrors.IsAlreadyExists(err) {
				continue // somebody else created it just now: update that one
			}
			return item, true, err
		case errors.Is(err, errDry):
			inner, err := w.r.inward(t.obj)
			return &store.Item{Key: w.key, Object: inner}, false, err
		case errors.Is(err, errEmptied):
			item, err = w.removeEmptied(ctx, t)
			if apierrors.IsConflict(err) && pre == nil {
				continue
			}
			return item, false, err
		case err != nil:
			return nil, false, err
		}
		if changed {
			if w.r.Hooks.AfterUpdate != nil {
				w.r.Hooks.AfterUpdate(ctx, item.Object, t.current.Object)
			}
			w.note(item, t.current.Object.GetResourceVersion())
		}
		return item, false, nil
	}
}

// attempt is one run of an update's computation; it may run several times within Store.Update.
type attempt struct {
	*write
	next func(resource.Object) (resource.Object, error)

	current *store.Item
	obj     resource.Object
	create  resource.Object
	undo    Undo
}

// run computes what to store in place of current.
func (t *attempt) run(ctx context.Context, current *store.Item) (resource.Object, time.Duration, error) {
	t.settle(errDry) // an earlier run of this attempt lost its race
	t.current, t.create = current, nil
	if current == nil {
		obj, err := t.next(nil)
		if err == nil {
			t.create, err = obj, errEmptied
		}
		return nil, 0, err
	}
	old, err := t.r.outward(current.Object)
	if err != nil {
		return nil, 0, err
	}
	if old.GetObjectKind().GroupVersionKind().Kind == "" {
		old = typed(old, t.r)
	}
	obj, err := t.next(old)
	if err != nil {
		return nil, 0, err
	}
	if obj, err = t.admit(ctx, obj, old); err != nil {
		return nil, 0, err
	}
	if err := t.prepare(ctx, obj, old); err != nil {
		return nil, 0, err
	}
	if err := t.r.Env.Admission.Validate(ctx, t.attributes(admission.Update, obj, old)); err != nil {
		return nil, 0, err
	}
	t.obj = obj
	return t.result(obj, old)
}

// result says what is to happen with the computed object.
func (t *attempt) result(obj, old resource.Object) (resource.Object, time.Duration, error) {
	if t.r.emptied(obj, old) {
		return nil, 0, errEmptied
	}
	if t.DryRun {
		return nil, 0, errDry
	}
	inner, err := t.r.inward(obj)
	if err != nil {
		return nil, 0, err
	}
	return inner, t.r.life(obj), nil
}

// settle takes hooks' side effects back if the write did not happen.
func (t *attempt) settle(err error) {
	if err != nil && t.undo != nil {
		t.undo()
	}
	t.undo = nil
}

// admit runs mutating admission.
func (t *attempt) admit(ctx context.Context, obj, old resource.Object) (resource.Object, error) {
	a := t.attributes(admission.Update, obj, old)
	fields := obj.GetManagedFields()
	if err := t.r.Env.Admission.Admit(ctx, a); err != nil {
		return nil, err
	}
	t.changes = a.Changes()
	admitted, ok := a.Object.(resource.Object)
	if !ok {
		return nil, apierrors.NewInternalError(errNotObject)
	}
	keepFields(admitted, fields)
	if err := t.r.reshape(admitted, t.changes); err != nil {
		return nil, err
	}
	t.dedupOwners(admitted, afterAdmission)
	return admitted, nil
}

// prepare resets what the sender may not set, and validates.
func (t *attempt) prepare(ctx context.Context, obj, old resource.Object) error {
	r := t.r
	if err := r.checkVersion(obj, old); err != nil {
		return err
	}
	carry(obj, old, t.Now)
	obj.SetGeneration(old.GetGeneration())
	if t.view != nil {
		t.view.Prepare(t.Request, obj, old)
	} else {
		r.layout.keepStatus(obj, old)
		r.PrepareUpdate(t.Request, obj, old)
	}
	if r.Generation && r.layout.contentChanged(obj, old) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
	if r.Hooks.BeforeUpdate != nil {
		undo, err := r.Hooks.BeforeUpdate(ctx, t.Request, obj, old)
		t.undo = undo
		if err != nil {
			return err
		}
	}
	return t.validate(obj, old)
}

func (t *attempt) validate(obj, old resource.Object) error {
	errs := t.r.validateMetaUpdate(obj, old)
	if t.view != nil {
		errs = append(errs, t.view.Validate(t.Request, obj, old)...)
	} else {
		errs = append(errs, t.r.ValidateUpdate(t.Request, obj, old)...)
	}
	errs = append(errs, t.r.furtherErrors(t.Request, obj, old)...)
	if len(errs) > 0 {
		return apierrors.NewInvalid(t.r.groupKind(), obj.GetName(), errs)
	}
	if t.view == nil {
		for _, text := range t.r.Warn(t.Request, obj, old) {
			t.state.Warn(text)
		}
	}
	return nil
}

// checkVersion holds the sender to the version that it has seen, if it says which.
func (r *Resource) checkVersion(obj, old resource.Object) error {
	switch version := obj.GetResourceVersion(); version {
	case old.GetResourceVersion():
		return nil
	case "", "0":
		if r.RequireVersion && version == "" {
			return apierrors.NewInvalid(r.groupKind(), obj.GetName(), field.ErrorList{
				field.Invalid(metadataPath.Child("resourceVersion"), 0, "must be specified for an update"),
			})
		}
		obj.SetResourceVersion(old.GetResourceVersion())
		return nil
	default:
		return apierrors.NewConflict(r.GroupResource(), obj.GetName(), errors.New(optimisticLock))
	}
}

// emptied says whether an update took away the last reason for an object marked as deleted to stay.
func (r *Resource) emptied(obj, old resource.Object) bool {
	if obj.GetDeletionTimestamp() == nil || len(obj.GetFinalizers()) > 0 {
		return false
	}
	if grace := obj.GetDeletionGracePeriodSeconds(); grace != nil && *grace > 0 {
		return false
	}
	return !r.held(obj) && old.GetDeletionTimestamp() != nil
}

// removeEmptied deletes an object that nothing holds any longer; the answer is its last state, as the writer left it.
func (w *write) removeEmptied(ctx context.Context, t *attempt) (*store.Item, error) {
	inner, err := w.r.inward(t.obj)
	if err != nil {
		return nil, err
	}
	item := &store.Item{Key: w.key, Object: inner}
	if w.DryRun {
		return item, nil
	}
	uid, version := t.current.Object.GetUID(), t.current.Object.GetResourceVersion()
	gone, err := w.r.Open().Delete(ctx, w.key, &store.Preconditions{UID: &uid, ResourceVersion: &version}, nil)
	if err != nil {
		return nil, err
	}
	if w.r.Hooks.AfterDelete != nil {
		w.r.Hooks.AfterDelete(ctx, gone.Object)
	}
	w.note(gone, version)
	return item, nil
}

// insertOver creates the object of an update or apply that found none.
func (w *write) insertOver(ctx context.Context, obj resource.Object) (*store.Item, error) {
	if uid := obj.GetUID(); uid != "" {
		return nil, apierrors.NewConflict(w.r.GroupResource(), obj.GetName(), errors.New(
			"Precondition failed: UID in precondition: "+string(uid)+", UID in object meta: "))
	}
	if obj.GetManagedFields() == nil {
		tracked, err := w.r.track(nil, obj, w.manager, "")
		if err != nil {
			return nil, err
		}
		obj = tracked
	}
	obj.SetResourceVersion("")
	w.Verb = "create"
	return w.insert(ctx, obj)
}

// typed returns a shallow copy with its TypeMeta set: stored objects are shared and may lack it.
func typed(obj resource.Object, r *Resource) resource.Object {
	copied := shallowCopy(obj)
	copied.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	return copied
}

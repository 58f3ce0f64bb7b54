package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// write is one write's way through the verbs: what create, update, patch, apply and delete have in common.
type write struct {
	*resource.Request
	r     *Resource
	state *request.State
	key   store.Key
	// manager is who the changed fields belong to.
	manager string
	// options are those of the request, for admission.
	options runtime.Object
	// view is the subresource that is written, nil for the object itself.
	view *resource.KindView
	// subresource is its name; also "scale" and others that are no views.
	subresource string
	// changes is what admission changed.
	changes []admission.Change
	// marked is the object as a deletion has marked it, once it has.
	marked *store.Item
	start  time.Time
}

func (r *Resource) newWrite(s *request.State, verb string, dry []string, manager string, options runtime.Object) *write {
	now := time.Now()
	w := &write{
		Request: &resource.Request{User: s.User, Verb: verb, Subresource: s.Subresource, DryRun: dryRun(dry), Now: now},
		r:       r, state: s, manager: managerName(manager, s.UserAgent), options: options, start: now,
		key: store.Key{Name: s.Name}, subresource: s.Subresource,
	}
	if r.Namespaced() {
		w.key.Namespace = s.Namespace
	}
	return w
}

// attributes are what admission sees of the write.
func (w *write) attributes(op admission.Operation, obj, old resource.Object) *admission.Attributes {
	a := &admission.Attributes{
		Operation: op, Kind: w.r.GroupVersionKind, Resource: w.r.Kind.Resource, Subresource: w.subresource,
		Namespace: w.key.Namespace, Name: w.key.Name, Options: w.options, DryRun: w.DryRun, User: w.User,
		Scope: w.r.Scope, Annotate: w.state.Annotate, AnnotateRequest: w.state.AnnotateRequest, Warned: w.state.Warn,
	}
	// A nil resource.Object must not become a runtime.Object that is not nil.
	if obj != nil {
		a.Object = obj
	}
	if old != nil {
		a.OldObject = old
	}
	return a
}

// create serves POST on a collection.
func (r *Resource) create(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	options, err := createOptions(req)
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
	w := r.newWrite(s, "create", options.DryRun, options.FieldManager, options)
	item, err := w.create(req.Context(), obj)
	if err != nil {
		return err
	}
	return r.sendItem(rw, req, http.StatusCreated, item)
}

// create brings a decoded object into storage.
func (w *write) create(ctx context.Context, obj resource.Object) (*store.Item, error) {
	r := w.r
	if err := r.fixNamespace(obj, w.key.Namespace); err != nil {
		return nil, err
	}
	if w.key.Name != "" {
		if err := checkName(obj, w.key.Name); err != nil {
			return nil, err
		}
	}
	r.Kind.Default(obj)
	wipe(obj)
	w.dedupOwners(obj, "")
	obj, err := r.track(nil, obj, w.manager, "")
	if err != nil {
		return nil, err
	}
	return w.insert(ctx, obj)
}

// insert takes an object whose fields are tracked through admission and validation into storage.
func (w *write) insert(ctx context.Context, obj resource.Object) (*store.Item, error) {
	w.key.Name = obj.GetName()
	attributes := w.attributes(admission.Create, obj, nil)
	fields := obj.GetManagedFields()
	if err := w.r.Env.Admission.Admit(ctx, attributes); err != nil {
		return nil, err
	}
	w.changes = attributes.Changes()
	obj, ok := attributes.Object.(resource.Object)
	if !ok {
		return nil, apierrors.NewInternalError(errNotObject)
	}
	if err := w.r.fixNamespace(obj, w.key.Namespace); err != nil {
		return nil, err
	}
	keepFields(obj, fields)
	if err := w.r.reshape(obj, w.changes); err != nil {
		return nil, err
	}
	w.dedupOwners(obj, afterAdmission)
	stamp(obj, w.Now)
	base := obj.GetGenerateName()
	if base == "" || obj.GetName() != "" {
		return w.tryInsert(ctx, obj, attributes)
	}
	return w.insertGenerated(ctx, obj, attributes, base)
}

// generateAttempts is how often another name is tried when a generated one is taken, as upstream.
const generateAttempts = 8

func (w *write) insertGenerated(ctx context.Context, obj resource.Object, a *admission.Attributes, base string) (*store.Item, error) {
	for attempt := 1; ; attempt++ {
		candidate := obj
		if attempt < generateAttempts {
			candidate = obj.DeepCopyObject().(resource.Object)
		}
		candidate.SetName(generateName(base))
		a.Object, a.Name = candidate, candidate.GetName()
		w.key.Name = candidate.GetName()
		item, err := w.tryInsert(ctx, candidate, a)
		if err == nil || !apierrors.IsAlreadyExists(err) {
			return item, err
		}
		if attempt == generateAttempts {
			return nil, apierrors.NewGenerateNameConflict(w.r.GroupResource(), candidate.GetName(), 1)
		}
	}
}

// maxGeneratedBase leaves room for the random part in a name of 63 characters.
const maxGeneratedBase, randomLength = 58, 5

func generateName(base string) string {
	if len(base) > maxGeneratedBase {
		base = base[:maxGeneratedBase]
	}
	return base + utilrand.String(randomLength)
}

// tryInsert prepares, validates and stores an object that has its name.
func (w *write) tryInsert(ctx context.Context, obj resource.Object, a *admission.Attributes) (_ *store.Item, err error) {
	r := w.r
	if !r.StatusOnCreate {
		r.layout.dropStatus(obj)
	}
	if r.Generation {
		obj.SetGeneration(1)
	}
	r.PrepareCreate(w.Request, obj)
	var undo Undo
	if r.Hooks.BeforeCreate != nil {
		undo, err = r.Hooks.BeforeCreate(ctx, w.Request, obj)
		defer func() {
			if undo != nil && (err != nil || w.DryRun) {
				undo()
			}
		}()
		if err != nil {
			return nil, err
		}
	}
	errs := r.validateMeta(obj)
	errs = append(errs, r.Validate(w.Request, obj)...)
	errs = append(errs, r.furtherErrors(w.Request, obj, nil)...)
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(r.groupKind(), obj.GetName(), errs)
	}
	for _, text := range r.Warn(w.Request, obj, nil) {
		w.state.Warn(text)
	}
	a.Object = obj
	if err = r.Env.Admission.Validate(ctx, a); err != nil {
		return nil, err
	}
	return w.put(ctx, obj)
}

// life is how long etcd keeps an object; 0: until it is deleted. Events alone have an end.
func (r *Resource) life(obj resource.Object) time.Duration {
	switch {
	case r.TTL == nil:
		return 0
	case r.Env.EventTTL > 0:
		return r.Env.EventTTL
	}
	return r.TTL(obj)
}

// put adds the object to storage, or only looks whether it could.
func (w *write) put(ctx context.Context, obj resource.Object) (*store.Item, error) {
	r := w.r
	key := store.Key{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	ttl := r.life(obj)
	inner, err := r.inward(obj)
	if err != nil {
		return nil, err
	}
	if w.DryRun {
		if _, err := r.Open().Get(ctx, key, ""); err == nil {
			return nil, apierrors.NewAlreadyExists(r.GroupResource(), key.Name)
		} else if !apierrors.IsNotFound(err) {
			return nil, err
		}
		return &store.Item{Key: key, Object: inner}, nil
	}
	if version, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64); err == nil && version != 0 {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	inner.SetResourceVersion("")
	item, err := r.Open().Create(ctx, key, inner, ttl)
	if err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, r.takenError(ctx, key)
		}
		return nil, err
	}
	if r.Hooks.AfterCreate != nil {
		r.Hooks.AfterCreate(ctx, item.Object)
	}
	w.note(item, "")
	return item, nil
}

// takenError says AlreadyExists, and that the other object is going away where it is.
func (r *Resource) takenError(ctx context.Context, key store.Key) error {
	err := apierrors.NewAlreadyExists(r.GroupResource(), key.Name)
	if other, getErr := r.Open().Get(ctx, key, "0"); getErr == nil && other.Object.GetDeletionTimestamp() != nil {
		err.ErrStatus.Message = "object is being deleted: " + err.ErrStatus.Message
	}
	return err
}

// empty is an object of the kind with nothing but its TypeMeta.
func (r *Resource) empty() resource.Object {
	obj := r.New()
	obj.GetObjectKind().SetGroupVersionKind(r.GroupVersionKind)
	return obj
}

// keepFields takes back what admission did to the managed fields, if they are no longer readable.
func keepFields(obj resource.Object, fields []metav1.ManagedFieldsEntry) {
	if unchanged(obj.GetManagedFields(), fields) {
		return
	}
	if err := validFields(obj.GetManagedFields()); err != nil {
		obj.SetManagedFields(fields)
	}
}

// Version is a revision as the API writes it.
func Version(revision int64) string { return formatRevision(revision) }

func formatRevision(revision int64) string { return strconv.FormatInt(revision, 10) }

// unchanged says that nobody touched the entries: they are the very same.
func unchanged(a, b []metav1.ManagedFieldsEntry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

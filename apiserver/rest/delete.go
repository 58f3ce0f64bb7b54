package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// deleteObject serves DELETE on an object.
func (r *Resource) deleteObject(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	options, err := r.deleteOptions(req)
	if err != nil {
		return err
	}
	w := r.newWrite(s, "delete", options.DryRun, "", options)
	asked := options.DeepCopy()
	item, gone, err := w.remove(req.Context(), options)
	if err != nil {
		return err
	}
	if r.WarnDelete != nil {
		for _, text := range r.WarnDelete(w.Request, item.Object, asked) {
			s.Warn(text)
		}
	}
	if gone && !returnsDeleted[r.GroupResource()] {
		request.Write(rw, req, http.StatusOK, statusKind, r.deletedStatus(item))
		return nil
	}
	code := http.StatusOK
	//lint:ignore SA1019 clients still send it
	if !gone && options.OrphanDependents != nil && !*options.OrphanDependents {
		code = http.StatusAccepted
	}
	return r.sendItem(rw, req, code, item)
}

var statusKind = schema.GroupVersionKind{Version: "v1", Kind: "Status"}

// returnsDeleted are the kinds whose deletion answers with the object instead of a Status, as the API describes them.
var returnsDeleted = map[schema.GroupResource]bool{
	{Resource: "pods"}: true, {Resource: "podtemplates"}: true, {Resource: "persistentvolumes"}: true,
	{Resource: "persistentvolumeclaims"}: true, {Resource: "resourcequotas"}: true, {Resource: "serviceaccounts"}: true,
	{Resource: "services"}:                                         true,
	{Group: "storage.k8s.io", Resource: "csidrivers"}:              true,
	{Group: "storage.k8s.io", Resource: "csinodes"}:                true,
	{Group: "storage.k8s.io", Resource: "storageclasses"}:          true,
	{Group: "storage.k8s.io", Resource: "volumeattachments"}:       true,
	{Group: "storage.k8s.io", Resource: "volumeattributesclasses"}: true,
	{Group: "resource.k8s.io", Resource: "deviceclasses"}:          true,
	{Group: "resource.k8s.io", Resource: "resourceclaims"}:         true,
	{Group: "resource.k8s.io", Resource: "resourceclaimtemplates"}: true,
	{Group: "resource.k8s.io", Resource: "resourceslices"}:         true,
}

// ReturnsDeleted says whether deletion of a kind answers with the object.
func ReturnsDeleted(kind schema.GroupResource) bool { return returnsDeleted[kind] }

func (r *Resource) deletedStatus(item *store.Item) *metav1.Status {
	return &metav1.Status{
		Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{
			Name: item.Key.Name, Group: r.Kind.Resource.Group, Kind: r.Kind.Resource.Resource, UID: item.Object.GetUID(),
		},
	}
}

// deleteOptions reads the options from the body or, without one, from the query.
func (r *Resource) deleteOptions(req *http.Request) (*metav1.DeleteOptions, error) {
	options := &metav1.DeleteOptions{}
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		format, err := request.BodyFormat(req, nil)
		if err != nil {
			return nil, err
		}
		if err := decodeDeleteOptions(options, r.GroupVersionKind.GroupVersion(), body, format); err != nil {
			return nil, err
		}
		request.From(req.Context()).Requested(options.DeepCopy())
	} else if query := request.Query(req); query != nil {
		if err := metav1.Convert_url_Values_To_v1_DeleteOptions(&query, options, nil); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if errs := metavalidation.ValidateDeleteOptions(options); len(errs) > 0 {
		return nil, invalidOptions("DeleteOptions", errs)
	}
	if options.GracePeriodSeconds != nil && *options.GracePeriodSeconds < 0 {
		one := int64(1)
		options.GracePeriodSeconds = &one
	}
	options.TypeMeta = metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "meta.k8s.io/v1"}
	return options, nil
}

// decodeDeleteOptions takes DeleteOptions of any of the versions under which clients send them.
func decodeDeleteOptions(options *metav1.DeleteOptions, gv schema.GroupVersion, body []byte, format request.Format) error {
	var found schema.GroupVersionKind
	var err error
	switch format {
	case request.Protobuf:
		found, err = unmarshalProtobuf(body, options)
	case request.YAML:
		found, _, err = unmarshalYAML(body, options, false)
	default:
		found, _, err = unmarshalJSON(body, options, false)
	}
	if err == nil && found.Kind != "" && found.Kind != "DeleteOptions" {
		err = fmt.Errorf("it is a %s", found.Kind)
	}
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	return nil
}

// remove deletes the object, or marks it as deleted where a grace period or finalizers hold it. It returns the
// last state and whether the object is gone.
func (w *write) remove(ctx context.Context, options *metav1.DeleteOptions) (*store.Item, bool, error) {
	item, err := w.r.Open().Get(ctx, w.key, "")
	if err != nil {
		return nil, false, err
	}
	if err := w.mayRemove(ctx, item); err != nil {
		return nil, false, err
	}
	for {
		p, err := w.plan(item, options)
		if err != nil {
			return nil, false, err
		}
		result, gone, err := w.carryOut(ctx, item, p, options)
		if errors.Is(err, errChanged) {
			if item, err = w.r.Open().Get(ctx, w.key, ""); err == nil {
				continue
			}
		}
		return w.over(result, gone, err)
	}
}

// over is what a deletion came to. If it had begun and somebody else finished it, it succeeded.
func (w *write) over(last *store.Item, gone bool, err error) (*store.Item, bool, error) {
	if apierrors.IsNotFound(err) && w.marked != nil {
		return w.marked, true, nil
	}
	return last, gone, err
}

// errChanged says that the object is not the one any longer for which a deletion was planned.
var errChanged = errors.New("the object has changed")

// mayRemove asks admission and the kind's hook.
func (w *write) mayRemove(ctx context.Context, item *store.Item) error {
	old, err := w.r.outward(item.Object)
	if err != nil {
		return err
	}
	a := w.attributes(admission.Delete, nil, typed(old, w.r))
	if err := w.r.Env.Admission.Admit(ctx, a); err != nil {
		return err
	}
	if err := w.r.Env.Admission.Validate(ctx, a); err != nil {
		return err
	}
	w.changes = a.Changes()
	if w.r.Hooks.BeforeDelete != nil {
		return w.r.Hooks.BeforeDelete(ctx, w.Request, old)
	}
	return nil
}

// removal is what a deletion comes to, for an object as it is now.
type removal struct {
	// mark, when set, is the object to store: with a deletion time, a grace period, finalizers.
	mark resource.Object
	// remove says to take the object out of storage, after mark if that is set.
	remove bool
}

// plan decides without I/O. The zero removal leaves a deletion that is under way alone.
func (w *write) plan(item *store.Item, options *metav1.DeleteOptions) (removal, error) {
	old := item.Object
	if err := w.r.checkPreconditions(old, options.Preconditions); err != nil {
		return removal{}, err
	}
	obj := old.DeepCopyObject().(resource.Object)
	graceful, pending, err := w.grace(obj, options)
	if err != nil || pending {
		return removal{}, err
	}
	finalizers := garbageFinalizers(old.GetFinalizers(), w.r.Propagation, options)
	if !slices.Equal(finalizers, old.GetFinalizers()) {
		obj.SetFinalizers(finalizers)
	}
	held := len(finalizers) > 0 || w.r.held(obj)
	if !graceful {
		if !held {
			return removal{remove: true}, nil
		}
		w.markNow(obj)
	}
	if w.r.Hooks.OnMark != nil {
		w.r.Hooks.OnMark(obj)
	}
	period := obj.GetDeletionGracePeriodSeconds()
	return removal{mark: obj, remove: !held && (period == nil || *period == 0)}, nil
}

func (r *Resource) held(obj resource.Object) bool { return r.Hooks.Held != nil && r.Hooks.Held(obj) }

// checkPreconditions compares what the client has seen with what is there.
func (r *Resource) checkPreconditions(obj resource.Object, pre *metav1.Preconditions) error {
	if pre == nil {
		return nil
	}
	named := schema.GroupResource{Group: r.GroupVersionKind.Group, Resource: r.GroupVersionKind.Kind}
	if pre.UID != nil && *pre.UID != obj.GetUID() {
		return apierrors.NewConflict(named, obj.GetName(), fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated",
			*pre.UID, obj.GetUID()))
	}
	if pre.ResourceVersion != nil && *pre.ResourceVersion != obj.GetResourceVersion() {
		return apierrors.NewConflict(named, obj.GetName(), fmt.Errorf(
			"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified",
			*pre.ResourceVersion, obj.GetResourceVersion()))
	}
	return nil
}

// grace sets the deletion time of a kind whose owner is waited for. pending means that a deletion is under way which
// these options do not shorten.
func (w *write) grace(obj resource.Object, options *metav1.DeleteOptions) (graceful, pending bool, err error) {
	if w.r.Grace == nil {
		return false, false, nil
	}
	if marked := obj.GetDeletionTimestamp(); marked != nil {
		left := obj.GetDeletionGracePeriodSeconds()
		if left == nil || *left == 0 {
			return false, false, nil
		}
		if options.GracePeriodSeconds == nil || *options.GracePeriodSeconds >= *left {
			return false, true, nil
		}
		wanted := *options.GracePeriodSeconds
		at := metav1.NewTime(marked.Add(time.Duration(wanted-*left) * time.Second))
		obj.SetDeletionTimestamp(&at)
		obj.SetDeletionGracePeriodSeconds(&wanted)
		return true, false, nil
	}
	served, err := w.r.outward(obj)
	if err != nil {
		return false, false, err
	}
	seconds := w.r.Grace(w.Request, served, options)
	at := metav1.NewTime(w.Now.Add(time.Duration(seconds) * time.Second).Truncate(time.Second))
	obj.SetDeletionTimestamp(&at)
	obj.SetDeletionGracePeriodSeconds(&seconds)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	return true, false, nil
}

// markNow marks an object as deleted that finalizers hold.
func (w *write) markNow(obj resource.Object) {
	if obj.GetDeletionTimestamp() == nil && obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	now := metav1.NewTime(w.Now.Truncate(time.Second))
	if marked := obj.GetDeletionTimestamp(); marked == nil || marked.After(w.Now) {
		obj.SetDeletionTimestamp(&now)
	}
	zero := int64(0)
	obj.SetDeletionGracePeriodSeconds(&zero)
}

// garbageFinalizers are an object's finalizers with those that the propagation policy asks for.
func garbageFinalizers(old []string, policy metav1.DeletionPropagation, options *metav1.DeleteOptions) []string {
	orphan := policy == metav1.DeletePropagationOrphan
	foreground := false
	if slices.Contains(old, metav1.FinalizerDeleteDependents) {
		orphan, foreground = false, true
	}
	if slices.Contains(old, metav1.FinalizerOrphanDependents) {
		orphan = true
	}
	//lint:ignore SA1019 clients still send it
	former := options.OrphanDependents
	switch {
	case former != nil:
		orphan, foreground = *former, false
	case options.PropagationPolicy != nil:
		orphan = *options.PropagationPolicy == metav1.DeletePropagationOrphan
		foreground = *options.PropagationPolicy == metav1.DeletePropagationForeground
	}
	kept := make([]string, 0, len(old)+1)
	for _, f := range old {
		if f != metav1.FinalizerOrphanDependents && f != metav1.FinalizerDeleteDependents {
			kept = append(kept, f)
		}
	}
	if orphan {
		kept = append(kept, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		kept = append(kept, metav1.FinalizerDeleteDependents)
	}
	if len(kept) == len(old) && sameSet(kept, old) {
		return old
	}
	return kept
}

func sameSet(a, b []string) bool {
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}

// carryOut does what was planned for item; errChanged if item is no longer what is stored.
func (w *write) carryOut(ctx context.Context, item *store.Item, p removal, options *metav1.DeleteOptions) (*store.Item, bool, error) {
	last := item
	if p.mark != nil {
		marked, err := w.storeMark(ctx, item, p.mark)
		if err != nil {
			return nil, false, err
		}
		last, w.marked = marked, marked
	}
	if !p.remove {
		return last, false, nil
	}
	if w.DryRun {
		return last, true, nil
	}
	uid, moved := last.Object.GetUID(), false
	gone, err := w.r.Open().Delete(ctx, w.key, &store.Preconditions{UID: &uid}, func(current *store.Item) error {
		if moved = current.Revision != last.Revision; moved {
			return errChanged
		}
		return nil
	})
	switch {
	case err != nil && moved:
		return nil, false, errChanged
	case apierrors.IsConflict(err):
		return nil, false, errChanged
	case err != nil:
		return nil, false, err
	}
	if w.r.Hooks.AfterDelete != nil {
		w.r.Hooks.AfterDelete(ctx, gone.Object)
	}
	w.note(gone, last.Object.GetResourceVersion())
	return gone, true, nil
}

// storeMark writes the deletion mark over item.
func (w *write) storeMark(ctx context.Context, item *store.Item, mark resource.Object) (*store.Item, error) {
	if w.DryRun {
		return &store.Item{Key: w.key, Object: mark, Revision: item.Revision}, nil
	}
	moved := false
	marked, changed, err := w.r.Open().Update(ctx, w.key, nil, false, func(current *store.Item) (resource.Object, time.Duration, error) {
		if moved = current.Revision != item.Revision; moved {
			return nil, 0, errChanged
		}
		return mark, w.r.life(mark), nil
	})
	if err != nil && moved {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	if changed {
		if w.r.Hooks.AfterUpdate != nil {
			w.r.Hooks.AfterUpdate(ctx, marked.Object, item.Object)
		}
		w.note(marked, item.Object.GetResourceVersion())
	}
	return marked, nil
}

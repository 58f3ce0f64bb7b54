package rest

import (
	"context"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/resource"
)

// Body reads a request's body into obj, which is empty and of the kind gvk. Errors are those of a create.
func Body(req *http.Request, obj runtime.Object, gvk schema.GroupVersionKind) error {
	format, err := request.BodyFormat(req, nil)
	if err != nil {
		return err
	}
	body, err := readBody(req)
	if err != nil {
		return err
	}
	strict := strictnessOf(request.Query(req).Get("fieldValidation"))
	state := request.From(req.Context())
	if err := decodeInto(obj, gvk, body, format, strict, state, nil); err != nil {
		return err
	}
	state.Requested(obj)
	return nil
}

// Delete deletes an object as a DELETE request with these options would, in the name of the request of ctx.
func (r *Resource) Delete(ctx context.Context, key store.Key, options *metav1.DeleteOptions) (*store.Item, error) {
	w := r.newWrite(request.From(ctx), "delete", options.DryRun, "", options)
	w.key, w.subresource, w.Subresource = key, "", ""
	item, _, err := w.remove(ctx, options)
	return item, err
}

// DeleteAs is Delete in the name of a user, outside of any request.
func (r *Resource) DeleteAs(ctx context.Context, user resource.User, key store.Key, options *metav1.DeleteOptions) (*store.Item, error) {
	return r.Delete(request.With(ctx, &request.State{User: user}), key, options)
}

// Note tells the journal about a write that a connector made by itself: its step, the object that it made and the version
// that it replaced.
func (r *Resource) Note(ctx context.Context, step string, item *store.Item, saw, note string) {
	if r.Env.Journal == nil {
		return
	}
	s := request.From(ctx)
	r.Env.Journal.Note(journal.Record{
		Component: "kube-apiserver", Step: step, Kind: r.GroupVersionKind.Kind, Namespace: item.Key.Namespace, Name: item.Key.Name,
		UID: item.Object.GetUID(), Saw: saw, Made: item.Object.GetResourceVersion(), Note: "user " + s.User.Name + ", " + note, Owner: ownerOf(item),
	})
}

package rest

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/store"
)

// deletePage is how many objects of a collection are looked up at a time.
const deletePage = 500

// deleteCollection serves DELETE on a collection: each object is deleted as if alone. The answer lists what was found.
func (r *Resource) deleteCollection(rw http.ResponseWriter, req *http.Request, s *request.State) error {
	_, query, err := r.listOptions(req, s)
	if err != nil {
		return err
	}
	options, err := r.deleteOptions(req)
	if err != nil {
		return err
	}
	accept, err := request.Negotiate(req, r.offer())
	if err != nil {
		return err
	}
	ctx := req.Context()
	whole := r.newWrite(s, "deletecollection", options.DryRun, "", options)
	whole.key.Name = ""
	if err := r.Env.Admission.Admit(ctx, whole.attributes(admission.Delete, nil, nil)); err != nil {
		return err
	}
	query.Name = ""
	if query.Limit == 0 {
		query.Limit = deletePage
		if query.ResourceVersion != "" {
			query.Limit = 0 // an exact or old revision is not paged: the client said what it means
		}
	}
	all, err := r.deletePages(ctx, s, query, options)
	if err != nil {
		return err
	}
	return r.sendPage(rw, req, accept, all)
}

// deletePages deletes page by page of one snapshot, until there is no more or the client's own limit is met.
func (r *Resource) deletePages(ctx context.Context, s *request.State, query store.Query, options *metav1.DeleteOptions) (*store.Page, error) {
	all := &store.Page{}
	own := query.Limit != deletePage
	for {
		page, err := r.Open().List(ctx, query)
		if err != nil {
			return nil, err
		}
		all.Revision = page.Revision
		if err := r.deleteAll(ctx, s, page.Items, options); err != nil {
			return nil, err
		}
		all.Items = append(all.Items, page.Items...)
		if page.Continue == "" || own {
			all.Continue, all.Remaining = page.Continue, page.Remaining
			return all, nil
		}
		query.Continue, query.ResourceVersion, query.Match = page.Continue, "", ""
	}
}

// deleteAll deletes several objects at a time if the server is asked to. The first error ends it.
func (r *Resource) deleteAll(ctx context.Context, s *request.State, items []*store.Item, options *metav1.DeleteOptions) error {
	if r.Env.DeleteWorkers <= 1 {
		for _, item := range items {
			if err := r.deleteOne(ctx, s, item, options); err != nil {
				return err
			}
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.Env.DeleteWorkers)
	for _, item := range items {
		group.Go(func() error { return r.deleteOne(ctx, s, item, options) })
	}
	return group.Wait()
}

func (r *Resource) deleteOne(ctx context.Context, s *request.State, item *store.Item, options *metav1.DeleteOptions) error {
	own := options.DeepCopy()
	if own.Preconditions == nil {
		own.Preconditions = &metav1.Preconditions{}
	}
	if own.Preconditions.UID == nil {
		uid := item.Object.GetUID()
		own.Preconditions.UID = &uid // one that was made again meanwhile is not meant
	}
	w := r.newWrite(s, "delete", own.DryRun, "", own)
	w.key = item.Key
	_, _, err := w.remove(ctx, own)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && options.Preconditions == nil {
		return nil
	}
	return err
}

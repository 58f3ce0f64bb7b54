package informer

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// Metadata returns informers of the metadata of any resource. What metadata points to (labels, owners, …) is shared with
// the server's own objects; resources that are not served here go through the client.
func Metadata(registry *rest.Registry, client metadata.Interface) metadatainformer.SharedInformerFactory {
	return metadatainformer.NewSharedInformerFactory(&local{client, registry}, 0)
}

// local is a metadata client that lists and watches the server's own objects.
type local struct {
	metadata.Interface
	registry *rest.Registry
}

// Resource is metadata.Interface.
func (l *local) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	getter := l.Interface.Resource(gvr)
	if r := l.registry.Get(gvr); r != nil && r.Stored() {
		return &localGetter{getter, &source{l.registry, gvr, partial}}
	}
	return getter
}

// partial shows an object's metadata alone.
func partial(r *rest.Resource) show {
	return func(item *store.Item) (runtime.Object, error) {
		obj := item.Object
		if r.Custom == nil || r.Custom.Batch { // else versions have the same metadata
			var err error
			if obj, err = r.Served(item); err != nil {
				return nil, err
			}
		}
		p := meta.AsPartialObjectMetadata(obj)
		p.SetGroupVersionKind(r.GroupVersionKind)
		return p, nil
	}
}

// localGetter reads collections from the store, and does the rest by the client below.
type localGetter struct {
	metadata.Getter
	source *source
}

// Namespace is metadata.Getter. Informers span all namespaces; a single one is left to the client.
func (l *localGetter) Namespace(name string) metadata.ResourceInterface {
	if name != "" {
		return l.Getter.Namespace(name)
	}
	return l
}

// List is metadata.ResourceInterface.
func (l *localGetter) List(ctx context.Context, options metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	if options.LabelSelector != "" || options.FieldSelector != "" {
		return l.Getter.List(ctx, options)
	}
	r, err := l.source.current()
	if err != nil {
		return nil, err
	}
	page, err := r.Open().List(ctx, store.Query{})
	if err != nil {
		return nil, err
	}
	list := &metav1.PartialObjectMetadataList{Items: make([]metav1.PartialObjectMetadata, len(page.Items))}
	list.ResourceVersion = rest.Version(page.Revision)
	for i, item := range page.Items {
		obj, err := partial(r)(item)
		if err != nil {
			return nil, err
		}
		list.Items[i] = *obj.(*metav1.PartialObjectMetadata)
	}
	return list, nil
}

// Watch is metadata.ResourceInterface.
func (l *localGetter) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if options.LabelSelector != "" || options.FieldSelector != "" || options.SendInitialEvents != nil {
		return l.Getter.Watch(ctx, options)
	}
	return l.source.WatchWithContext(ctx, options)
}

// IsWatchListSemanticsUnSupported tells reflectors to list, then watch.
func (l *local) IsWatchListSemanticsUnSupported() bool { return true }

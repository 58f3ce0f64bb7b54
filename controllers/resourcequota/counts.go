package resourcequota

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/reconcile"
)

// zero is what is used of a limit before anything is counted.
var zero = *resource.NewQuantity(0, resource.DecimalSI)

// counts counts objects of any resource that a quota names, by their metadata. A resource is watched from when it is
// asked for first: most clusters have no quota that counts more than Pods.
type counts struct {
	client  *client.Set
	changed func(of schema.GroupResource, namespace string, enqueue func(reconcile.Key))

	mu       sync.Mutex
	ctx      context.Context // of the running controller
	enqueue  func(reconcile.Key)
	watching map[schema.GroupResource]*watching
}

// watching is the watch of one resource. It ends with the run of the controller.
type watching struct{ informer cache.SharedIndexInformer }

// start is reconcile.Controller's Start.
func (c *counts) start(ctx context.Context, enqueue func(reconcile.Key)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ctx, c.enqueue = ctx, enqueue
	c.watching = map[schema.GroupResource]*watching{}
	return nil
}

// of returns how many objects of a resource a namespace has. It waits, by an error that is tried again, until they are known.
func (c *counts) of(of schema.GroupResource, namespace string) (resource.Quantity, error) {
	w, err := c.watch(of)
	if err != nil {
		return zero, err
	}
	if !w.informer.HasSynced() {
		return zero, reconcile.Wait("not listed yet")
	}
	keys, err := w.informer.GetIndexer().IndexKeys(cache.NamespaceIndex, namespace)
	if err != nil {
		return zero, err
	}
	return *resource.NewQuantity(int64(len(keys)), resource.DecimalSI), nil
}

func (c *counts) watch(of schema.GroupResource) (*watching, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w, found := c.watching[of]; found {
		return w, nil
	}
	served, err := c.served(of)
	if err != nil {
		return nil, err
	}
	// An informer of its own: those of the Set outlive a lost lease, or end with it, as whoever started them wants.
	w := &watching{metadatainformer.NewFilteredMetadataInformer(c.client.Metadata, served, metav1.NamespaceAll, 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil).Informer()}
	enqueue := c.enqueue
	tell := func(obj any) {
		if key, ok := reconcile.ObjectKey(obj); ok {
			c.changed(of, key.Namespace, enqueue)
		}
	}
	if _, err := w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell, DeleteFunc: tell}); err != nil {
		return nil, err
	}
	go w.informer.RunWithContext(c.ctx)
	c.watching[of] = w
	return w, nil
}

// served finds the version in which a resource is served.
func (c *counts) served(of schema.GroupResource) (schema.GroupVersionResource, error) {
	groups, err := c.client.Discovery().ServerGroups()
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	for _, group := range groups.Groups {
		if group.Name != of.Group {
			continue
		}
		// The preferred version first, but a resource need not be in it.
		for _, version := range append([]metav1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...) {
			list, err := c.client.Discovery().ServerResourcesForGroupVersion(version.GroupVersion)
			if err != nil {
				return schema.GroupVersionResource{}, err
			}
			for _, r := range list.APIResources {
				if r.Name == of.Resource && r.Namespaced {
					return schema.GroupVersionResource{Group: of.Group, Version: version.Version, Resource: of.Resource}, nil
				}
			}
		}
	}
	return schema.GroupVersionResource{}, reconcile.Wait("%s is not served in namespaces", of)
}

package garbagecollector

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/reconcile"
)

const (
	// settle is how long changes of the set of resources are collected before it is discovered anew: a CRD is written
	// several times while it is established.
	settle = 500 * time.Millisecond
	// patience is how long the first look waits for all watches. One that cannot be established must not hold up the rest.
	patience = 30 * time.Second
)

// ignored resources own nothing, are owned by nobody that matters, and change all the time.
var ignored = map[schema.GroupResource]bool{
	{Resource: "events"}: true, {Group: "events.k8s.io", Resource: "events"}: true,
}

// definesKinds are the resources whose objects bring or take away other resources.
var definesKinds = map[schema.GroupResource]bool{
	{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}: true,
	{Group: "apiregistration.k8s.io", Resource: "apiservices"}:             true,
}

// monitor is the watch of one resource.
type monitor struct {
	stop   func()
	synced <-chan struct{}
}

// start discovers what there is to watch, watches it, and goes on doing so as kinds come and go.
func (c *controller) start(ctx context.Context, enqueue func(reconcile.Key)) error {
	c.mu.Lock()
	c.enqueue = enqueue
	c.mu.Unlock()
	if err := c.discover(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	var synced []<-chan struct{}
	for _, m := range c.monitors {
		synced = append(synced, m.synced)
	}
	c.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
waiting:
	for _, done := range synced {
		select {
		case <-done:
		case <-timeout.C:
			klog.FromContext(ctx).Info("Not every resource can be watched yet, collecting garbage all the same")
			break waiting
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	go c.followKinds(ctx)
	return nil
}

// followKinds discovers anew whenever that was asked for, until ctx ends.
func (c *controller) followKinds(ctx context.Context) {
	delay := settle
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.again:
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := c.discover(ctx); err != nil {
			klog.FromContext(ctx).V(1).Info("Discovery was not complete, will try again", "err", err)
			delay = min(2*delay, patience)
			c.rediscover()
			continue
		}
		delay = settle
	}
}

// rediscover asks for discovery; many requests become one.
func (c *controller) rediscover() {
	select {
	case c.again <- struct{}{}:
	default:
	}
}

// discover brings the monitors in line with the resources that are served. Groups that did not answer keep theirs. The error
// says which did not; what could be done has been done.
func (c *controller) discover(ctx context.Context) error {
	lists, err := c.client.Discovery().ServerPreferredResources()
	failed := &discovery.ErrGroupDiscoveryFailed{}
	if err != nil && !errors.As(err, &failed) {
		return fmt.Errorf("discovery: %w", err)
	}
	served := map[Resource]bool{}
	c.mu.Lock()
	defer c.mu.Unlock()
	inUse := c.typesInUse()
	for _, list := range lists {
		gv, parseErr := schema.ParseGroupVersion(list.GroupVersion)
		if parseErr != nil {
			continue
		}
		for _, r := range list.APIResources {
			resource := Resource{GroupVersionResource: gv.WithResource(r.Name), Kind: r.Kind, Namespaced: r.Namespaced}
			c.kinds[groupKind{gv.Group, r.Kind}] = &resource
			if ignored[resource.GroupResource()] || !hasAll(r.Verbs, "delete", "list", "watch") {
				continue
			}
			served[resource] = true
			if c.monitors[resource] == nil {
				c.monitors[resource] = c.watch(ctx, &resource, inUse)
			}
		}
	}
	for resource, m := range c.monitors {
		silent := slices.ContainsFunc(keys(failed.Groups), func(gv schema.GroupVersion) bool { return gv == resource.GroupVersion() })
		if !served[resource] && !silent {
			m.stop()
			delete(c.monitors, resource)
			delete(c.kinds, groupKind{resource.Group, resource.Kind})
			go c.look(c.graph.Drop(resource.GroupVersionResource)) // not under the lock that look takes
		}
	}
	return err
}

func keys(m map[schema.GroupVersion]error) []schema.GroupVersion {
	var all []schema.GroupVersion
	for k := range m {
		all = append(all, k)
	}
	return all
}

func hasAll(have []string, want ...string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// typesInUse returns the types that somebody in the process has a full informer of.
func (c *controller) typesInUse() map[reflect.Type]bool {
	closed := make(chan struct{})
	close(closed)
	inUse := map[reflect.Type]bool{}
	for kind := range c.client.Informers.WaitForCacheSync(closed) { // asked not to wait, it just lists them
		inUse[kind] = true
	}
	return inUse
}

// watch feeds the graph with the objects of a resource: from an informer that holds them anyway, or from a
// watch of their metadata that keeps nothing outside of the graph.
func (c *controller) watch(ctx context.Context, resource *Resource, inUse map[reflect.Type]bool) *monitor {
	ctx, stop := context.WithCancel(ctx)
	gvk := resource.GroupVersion().WithKind(resource.Kind)
	if object, err := scheme.Scheme.New(gvk); err == nil && inUse[reflect.TypeOf(object)] {
		if informer, err := c.client.Informers.ForResource(resource.GroupVersionResource); err == nil {
			return c.tap(ctx, stop, resource, informer.Informer())
		}
	}
	return c.reflect(ctx, stop, resource)
}

// tap listens to an informer that others run.
func (c *controller) tap(ctx context.Context, stop context.CancelFunc, resource *Resource, informer cache.SharedIndexInformer) *monitor {
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { c.observed(resource, obj) },
		UpdateFunc: func(_, obj any) { c.observed(resource, obj) },
		DeleteFunc: func(obj any) { c.gone(resource, obj) },
	})
	if err != nil { // the informer was stopped
		return c.reflect(ctx, stop, resource)
	}
	context.AfterFunc(ctx, func() {
		if err := informer.RemoveEventHandler(registration); err != nil {
			klog.FromContext(ctx).V(1).Info("Could not remove a handler", "resource", resource.GroupVersionResource, "err", err)
		}
	})
	return &monitor{stop: stop, synced: registration.HasSyncedChecker().Done()}
}

// reflect watches a resource's metadata straight into the graph.
func (c *controller) reflect(ctx context.Context, stop context.CancelFunc, resource *Resource) *monitor {
	objects := c.client.Metadata.Resource(resource.GroupVersionResource)
	store := &graphStore{controller: c, resource: resource, synced: make(chan struct{})}
	reflector := cache.NewReflectorWithOptions(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return objects.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return objects.Watch(ctx, options)
		},
	}, &metav1.PartialObjectMetadata{}, store, cache.ReflectorOptions{Name: "garbage-collector " + resource.Resource})
	go reflector.RunWithContext(ctx)
	return &monitor{stop: stop, synced: store.synced}
}

func (c *controller) observed(resource *Resource, obj any) {
	object, ok := obj.(metav1.Object)
	if !ok {
		return
	}
	look, strays := c.graph.Observe(resource, object)
	c.look(look)
	for _, owner := range strays {
		c.tellStray(resource, object, owner)
	}
	if definesKinds[resource.GroupResource()] {
		c.rediscover()
	}
}

func (c *controller) gone(resource *Resource, obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if object, ok := obj.(metav1.Object); ok {
		c.look(c.graph.Gone(object.GetUID()))
	}
	if definesKinds[resource.GroupResource()] {
		c.rediscover()
	}
}

// tellStray warns of a reference to an owner in another namespace, which does not count: the object will be deleted.
func (c *controller) tellStray(resource *Resource, object metav1.Object, owner Identity) {
	subject := &corev1.ObjectReference{
		APIVersion: resource.GroupVersion().String(), Kind: resource.Kind,
		Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(),
	}
	described := fmt.Sprintf("[%s/%s, namespace: %s, name: %s, uid: %s]", owner.Group, owner.Kind, owner.Namespace, owner.Name, owner.UID)
	c.events.Eventf(subject, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", "ownerRef %s does not exist in namespace %q", described, object.GetNamespace())
}

// graphStore lets a Reflector write into the graph. Only UIDs of deleted objects are computed; no object is kept.
type graphStore struct {
	controller *controller
	resource   *Resource
	synced     chan struct{}
	once       bool
}

// Add implements cache.ReflectorStore.
func (s *graphStore) Add(obj any) error { s.controller.observed(s.resource, obj); return nil }

// Update implements cache.ReflectorStore.
func (s *graphStore) Update(obj any) error { s.controller.observed(s.resource, obj); return nil }

// Delete implements cache.ReflectorStore.
func (s *graphStore) Delete(obj any) error { s.controller.gone(s.resource, obj); return nil }

// Resync implements cache.ReflectorStore; there is nothing to replay.
func (s *graphStore) Resync() error { return nil }

// Replace implements cache.ReflectorStore: a full list, after a start or a lost watch.
func (s *graphStore) Replace(list []any, _ string) error {
	missing := s.controller.graph.UIDs(s.resource.GroupVersionResource)
	for _, obj := range list {
		if object, ok := obj.(metav1.Object); ok {
			delete(missing, object.GetUID())
		}
		s.controller.observed(s.resource, obj)
	}
	var look []types.UID
	for uid := range missing {
		look = append(look, s.controller.graph.Gone(uid)...)
	}
	s.controller.look(look)
	if !s.once {
		s.once = true
		close(s.synced)
	}
	return nil
}

package namespace

import (
	"context"
	"errors"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"

	"github.com/septet-io/septet/controllers/pods"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// width is how many resources are emptied at the same time.
const width = 8

var podResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// content is a namespaced resource that can be listed and deleted.
type content struct {
	schema.GroupVersionResource
	kind       string
	collection bool // all objects can be deleted by one request
}

// empty deletes what is in a namespace and counts what is left.
func (c *controller) empty(ctx context.Context, namespace string) outcome {
	o := outcome{remaining: map[string]int{}, finalizers: map[string]int{}}
	contents := c.contents(&o)
	isPods := func(r content) bool { return r.GroupVersionResource == podResource }
	if i := slices.IndexFunc(contents, isPods); i >= 0 {
		c.emptyAll(ctx, namespace, contents[i:i+1], &o)
		if len(o.remaining) > 0 || len(o.deletion) > 0 {
			return o // the rest must be there as long as Pods may use it (KEP-5080)
		}
		contents = slices.DeleteFunc(contents, isPods)
	}
	c.emptyAll(ctx, namespace, contents, &o)
	return o
}

// contents lists the resources to empty, as far as discovery tells.
func (c *controller) contents(o *outcome) []content {
	lists, err := c.client.Discovery().ServerPreferredNamespacedResources()
	o.discovery = err
	failed := &discovery.ErrGroupDiscoveryFailed{}
	if err != nil && !errors.As(err, &failed) {
		return nil
	}
	var contents []content
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			o.parsing = errors.Join(o.parsing, err)
			continue
		}
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "delete") && slices.Contains(r.Verbs, "list") {
				contents = append(contents, content{gv.WithResource(r.Name), r.Kind, slices.Contains(r.Verbs, "deletecollection")})
			}
		}
	}
	return contents
}

func (c *controller) emptyAll(ctx context.Context, namespace string, contents []content, o *outcome) {
	var mu sync.Mutex // guards o
	turn := make(chan struct{}, width)
	var all sync.WaitGroup
	for _, r := range contents {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			left, err := c.emptyOne(ctx, namespace, r)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				o.deletion = append(o.deletion, err)
			}
			if len(left) > 0 {
				o.remaining[r.Resource+"."+r.Group] = len(left) // "pods.", with the dot: so the message is known
			}
			for _, object := range left {
				for _, finalizer := range object.Finalizers {
					o.finalizers[finalizer]++
				}
			}
		})
	}
	all.Wait()
}

// emptyOne deletes all objects of a resource and returns those that are still there afterwards.
func (c *controller) emptyOne(ctx context.Context, namespace string, r content) ([]metav1.PartialObjectMetadata, error) {
	objects := c.client.Metadata.Resource(r.GroupVersionResource).Namespace(namespace)
	there, err := list(ctx, objects)
	if err != nil || len(there) == 0 {
		return nil, err
	}
	doomed := slices.DeleteFunc(slices.Clone(there), func(o metav1.PartialObjectMetadata) bool { return o.DeletionTimestamp != nil })
	if len(doomed) > 0 {
		if err := remove(ctx, objects, r, doomed); err != nil {
			return there, err
		}
		reconcile.Note(ctx, journal.Record{Step: "delete", Kind: r.kind, Namespace: namespace, Note: "all in the namespace"})
	}
	return list(ctx, objects)
}

// list returns all objects; a resource that is served no more has none.
func list(ctx context.Context, objects metadata.ResourceInterface) ([]metav1.PartialObjectMetadata, error) {
	found, err := objects.List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found.Items, nil
}

// remove asks for the deletion of all objects, by one request where the resource can do that.
func remove(ctx context.Context, objects metadata.ResourceInterface, r content, doomed []metav1.PartialObjectMetadata) error {
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if r.collection {
		err := objects.DeleteCollection(ctx, options, metav1.ListOptions{})
		if err == nil || !(apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err)) {
			return err
		}
	}
	return pods.Join(len(doomed), func(i int) error {
		err := objects.Delete(ctx, doomed[i].Name, options)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

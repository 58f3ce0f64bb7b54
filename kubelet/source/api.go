package source

import (
	"context"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// WatchAPI tells sink of the pods that are bound to the node until ctx ends.
func WatchAPI(ctx context.Context, client kubernetes.Interface, node string, sink Sink) {
	pods := client.CoreV1().Pods(metav1.NamespaceAll)
	selector := fields.OneTermEqualSelector("spec.nodeName", node).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return pods.Watch(ctx, o)
		},
	}
	mine := func(obj any) *v1.Pod {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		pod, ok := obj.(*v1.Pod)
		if !ok || pod.Spec.NodeName != node {
			return nil // a server that does not know the selector
		}
		return pod
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(lw, client),
		ObjectType:    &v1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(obj any) {
				if pod := mine(obj); pod != nil {
					sink.Upsert(API, pod)
				}
			},
			UpdateFunc: func(_, obj any) {
				if pod := mine(obj); pod != nil {
					sink.Upsert(API, pod)
				}
			},
			DeleteFunc: func(obj any) {
				if pod := mine(obj); pod != nil {
					sink.Delete(API, pod)
				}
			},
		},
	})
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			sink.Synced(API)
		}
	}()
	informer.RunWithContext(ctx)
}

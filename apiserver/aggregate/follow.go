package aggregate

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/reconcile"
)

// followServices has APIServices looked at again whenever their Service or its endpoints change.
func (a *Aggregator) followServices(ctx context.Context) {
	informers := a.config.Client.Informers
	for _, informer := range []cache.SharedIndexInformer{informers.Core().V1().Services().Informer(), informers.Discovery().V1().EndpointSlices().Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: a.wake, UpdateFunc: func(_, obj any) { a.wake(obj) }, DeleteFunc: a.wake,
		})
		if err != nil {
			klog.FromContext(ctx).V(2).Info("Changes of Services are not noticed at once", "err", err)
		}
	}
	informers.Start(ctx.Done())
}

// wake asks for the APIServices whose Service an object is, or belongs to.
func (a *Aggregator) wake(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	var namespace, name string
	switch o := obj.(type) {
	case *corev1.Service:
		namespace, name = o.Namespace, o.Name
	case *discoveryv1.EndpointSlice:
		namespace, name = o.Namespace, o.Labels[discoveryv1.LabelServiceName]
	}
	for _, one := range a.apiServices.GetStore().List() {
		obj, ok := one.(*apiregistrationv1.APIService)
		if ok && obj.Spec.Service != nil && obj.Spec.Service.Namespace == namespace && obj.Spec.Service.Name == name {
			a.ask(reconcile.Key{Name: obj.Name})
		}
	}
}

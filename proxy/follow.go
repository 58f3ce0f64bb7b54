package proxy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// follow starts to watch everything that rules depend on. The channel is closed when all Services and slices that there are have been seen; the
// rest comes when it comes.
func (l *loop) follow(ctx context.Context) (synced <-chan struct{}, err error) {
	if err := followMachine(ctx, &l.env); err != nil {
		return nil, err
	}
	shared := l.config.Clients.Informers
	services, err := shared.Core().V1().Services().Informer().AddEventHandler(handler(l.store.SetService, nil, l.store.DeleteService))
	if err != nil {
		return nil, fmt.Errorf("watch Services: %w", err)
	}
	slices, err := shared.Discovery().V1().EndpointSlices().Informer().AddEventHandler(handler(l.store.SetSlice, func(old, now *discoveryv1.EndpointSlice) {
		if old.Labels[discoveryv1.LabelServiceName] != now.Labels[discoveryv1.LabelServiceName] {
			l.store.DeleteSlice(old) // it has gone to another Service
		}
	}, l.store.DeleteSlice))
	if err != nil {
		return nil, fmt.Errorf("watch EndpointSlices: %w", err)
	}
	ranges := func(cidr *networkingv1.ServiceCIDR) { l.env.setServiceCIDR(cidr.Name, cidr.Spec.CIDRs) }
	if _, err := shared.Networking().V1().ServiceCIDRs().Informer().AddEventHandler(handler(ranges, nil, func(cidr *networkingv1.ServiceCIDR) {
		l.env.setServiceCIDR(cidr.Name, nil)
	})); err != nil {
		return nil, fmt.Errorf("watch ServiceCIDRs: %w", err)
	}
	if err := l.followNode(ctx); err != nil {
		return nil, err
	}
	shared.Start(ctx.Done())
	done := make(chan struct{})
	go func() {
		for _, registration := range []cache.ResourceEventHandlerRegistration{services, slices} {
			select {
			case <-registration.HasSyncedChecker().Done():
			case <-ctx.Done():
				return
			}
		}
		close(done)
	}()
	return done, nil
}

// followNode watches this node alone: a cluster may have thousands.
func (l *loop) followNode(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(l.config.Clients, 0, informers.WithTweakListOptions(func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", l.settings.node).String()
	}))
	_, err := factory.Core().V1().Nodes().Informer().AddEventHandler(handler(func(node *corev1.Node) {
		if node.Name != l.settings.node {
			return
		}
		l.env.setNode(node)
		l.node.Leaving(leaving(node))
	}, nil, func(*corev1.Node) { l.node.Leaving(true) }))
	if err != nil {
		return fmt.Errorf("watch Node: %w", err)
	}
	factory.Start(ctx.Done())
	return nil
}

// deletionTaint is what the cluster autoscaler puts on nodes that it is about to remove.
const deletionTaint = "ToBeDeletedByClusterAutoscaler"

func leaving(node *corev1.Node) bool {
	if node.DeletionTimestamp != nil {
		return true
	}
	for _, taint := range node.Spec.Taints {
		if taint.Key == deletionTaint {
			return true
		}
	}
	return false
}

// handler adapts functions on one kind to an informer. moved, if not nil, sees both states before an update is set.
func handler[T any](set func(T), moved func(old, now T), gone func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if object, ok := obj.(T); ok {
				set(object)
			}
		},
		UpdateFunc: func(old, obj any) {
			object, ok := obj.(T)
			if !ok {
				return
			}
			if before, ok := old.(T); ok && moved != nil {
				moved(before, object)
			}
			set(object)
		},
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if object, ok := obj.(T); ok {
				gone(object)
			}
		},
	}
}

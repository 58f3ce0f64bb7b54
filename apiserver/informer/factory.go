package informer

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/admissionregistration"
	"k8s.io/client-go/informers/apps"
	"k8s.io/client-go/informers/autoscaling"
	"k8s.io/client-go/informers/batch"
	"k8s.io/client-go/informers/certificates"
	"k8s.io/client-go/informers/coordination"
	"k8s.io/client-go/informers/core"
	"k8s.io/client-go/informers/discovery"
	"k8s.io/client-go/informers/events"
	"k8s.io/client-go/informers/flowcontrol"
	"k8s.io/client-go/informers/internalinterfaces"
	"k8s.io/client-go/informers/networking"
	"k8s.io/client-go/informers/node"
	"k8s.io/client-go/informers/policy"
	"k8s.io/client-go/informers/rbac"
	"k8s.io/client-go/informers/resource"
	"k8s.io/client-go/informers/scheduling"
	"k8s.io/client-go/informers/storage"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// factory is a SharedInformerFactory whose informers read the server's own stores. The generated code asks InformerFor of the
// factory that it was given, so every group is made anew here.
type factory struct {
	informers.SharedInformerFactory
	registry *rest.Registry
}

// Factory returns informers of the built-in kinds; those of other kinds go through the client.
func Factory(registry *rest.Registry, client kubernetes.Interface) informers.SharedInformerFactory {
	return &factory{informers.NewSharedInformerFactory(client, 0), registry}
}

// served shows whole objects.
func served(r *rest.Resource) show {
	return func(item *store.Item) (runtime.Object, error) { return r.Served(item) }
}

// InformerFor is informers.SharedInformerFactory.
func (f *factory) InformerFor(obj runtime.Object, other internalinterfaces.NewInformerFunc) cache.SharedIndexInformer {
	r := byType(f.registry, obj)
	if r == nil {
		return f.SharedInformerFactory.InformerFor(obj, other)
	}
	return f.SharedInformerFactory.InformerFor(obj, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return newInformer(&source{f.registry, r.Kind.Resource, served}, obj)
	})
}

// ForResource is informers.SharedInformerFactory.
func (f *factory) ForResource(gvr schema.GroupVersionResource) (informers.GenericInformer, error) {
	if r := f.registry.Get(gvr); r != nil && r.Stored() {
		f.InformerFor(r.New(), nil) // the factory below finds it by its type
	}
	return f.SharedInformerFactory.ForResource(gvr)
}

// The groups, with this factory in place of the one below.

func (f *factory) Admissionregistration() admissionregistration.Interface {
	return admissionregistration.New(f, "", nil)
}
func (f *factory) Apps() apps.Interface                 { return apps.New(f, "", nil) }
func (f *factory) Autoscaling() autoscaling.Interface   { return autoscaling.New(f, "", nil) }
func (f *factory) Batch() batch.Interface               { return batch.New(f, "", nil) }
func (f *factory) Certificates() certificates.Interface { return certificates.New(f, "", nil) }
func (f *factory) Coordination() coordination.Interface { return coordination.New(f, "", nil) }
func (f *factory) Core() core.Interface                 { return core.New(f, "", nil) }
func (f *factory) Discovery() discovery.Interface       { return discovery.New(f, "", nil) }
func (f *factory) Events() events.Interface             { return events.New(f, "", nil) }
func (f *factory) Flowcontrol() flowcontrol.Interface   { return flowcontrol.New(f, "", nil) }
func (f *factory) Networking() networking.Interface     { return networking.New(f, "", nil) }
func (f *factory) Node() node.Interface                 { return node.New(f, "", nil) }
func (f *factory) Policy() policy.Interface             { return policy.New(f, "", nil) }
func (f *factory) Rbac() rbac.Interface                 { return rbac.New(f, "", nil) }
func (f *factory) Resource() resource.Interface         { return resource.New(f, "", nil) }
func (f *factory) Scheduling() scheduling.Interface     { return scheduling.New(f, "", nil) }
func (f *factory) Storage() storage.Interface           { return storage.New(f, "", nil) }

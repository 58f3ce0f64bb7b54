// Package aggregate lets other API servers serve group versions of this cluster: an APIService names the Service behind which one
// stands, and requests, discovery and OpenAPI documents come from there. It also keeps the APIServices of what is served here.
// https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation
package aggregate

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/reconcile"
)

// Config is what an Aggregator needs. Resources and Client are required; for the rest the zero value is upstream's default.
type Config struct {
	// Resources are what this server serves itself; Services and their endpoints are read from there.
	Resources *rest.Registry
	// Client writes APIServices, and its informers tell of them.
	Client *client.Set
	// Identity is the certificate that other servers know this one by (--proxy-client-cert-file); nil: none is shown.
	Identity func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// ToEndpoints sends requests to one of a Service's endpoints rather than to its cluster IP (--enable-aggregator-routing).
	ToEndpoints bool
	// ForwardRedirects hands redirects of other servers on to clients (--aggregator-reject-forwarding-redirect=false).
	ForwardRedirects bool
	// Dial opens connections to other servers; nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Journal notes what was done about which APIService; may be nil.
	Journal *journal.Ring
}

// Aggregator passes requests on to other servers. It costs a pointer load a request as long as there are none.
type Aggregator struct {
	config      Config
	apiServices cache.SharedIndexInformer
	definitions cache.SharedIndexInformer
	register    register
	// mark names this process in the Via header of what it passes on, so that it knows a request that comes back.
	mark string

	// mu is held while changing table.
	mu    sync.Mutex
	table atomic.Pointer[table] // nil: no other servers
	// follow starts the informers of Services and endpoints: nobody needs them before there is another server.
	follow sync.Once
	// ask wakes the availability controller; set before its workers start.
	ask func(reconcile.Key)
}

// table is which other server serves which group version. It never changes.
type table struct {
	remotes map[schema.GroupVersion]*remote
}

// changes counts changes of tables and of what is known of other servers, for those who keep documents made of them.
var changes atomic.Int64

// New makes an Aggregator. Run keeps it up to date.
func New(config Config) *Aggregator {
	a := &Aggregator{config: config, mark: "septet-" + rand.Text()}
	a.apiServices = config.Client.Informers.InformerFor(&apiregistrationv1.APIService{}, nil)
	a.definitions = config.Client.Informers.InformerFor(definitionSample, nil)
	a.register.init(config.Resources)
	return a
}

// Run keeps APIServices and what is known of other servers up to date until ctx ends. The informers of Config.Client must be
// started by the caller, before or after.
func (a *Aggregator) Run(ctx context.Context) error {
	handle, err := a.apiServices.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { a.noteAny(nil, obj) }, UpdateFunc: func(old, obj any) { a.noteAny(old, obj) },
		DeleteFunc: func(old any) { a.noteAny(old, nil) },
	})
	if err != nil {
		return fmt.Errorf("APIServices: %w", err)
	}
	defer func() { _ = a.apiServices.RemoveEventHandler(handle) }() // fails only if it is not there
	runner := reconcile.Runner{Component: "kube-apiserver", Journal: a.config.Journal}
	return runner.Run(ctx, a.registration(), a.availability())
}

// Find returns what serves a request at another server, nil if none does.
func (a *Aggregator) Find(info *request.Info) http.Handler {
	t := a.table.Load()
	if t == nil || info.Version == "" {
		return nil
	}
	if found := t.remotes[schema.GroupVersion{Group: info.Group, Version: info.Version}]; found != nil {
		return found
	}
	return nil
}

// remotes are the other servers, one a group version.
func (a *Aggregator) remotes() map[schema.GroupVersion]*remote {
	if t := a.table.Load(); t != nil {
		return t.remotes
	}
	return nil
}

// noteAny is note for what an informer hands over.
func (a *Aggregator) noteAny(old, obj any) {
	if tombstone, ok := old.(cache.DeletedFinalStateUnknown); ok {
		old = tombstone.Obj
	}
	before, _ := old.(*apiregistrationv1.APIService)
	after, _ := obj.(*apiregistrationv1.APIService)
	a.note(before, after)
}

// note takes a change of an APIService into the table.
func (a *Aggregator) note(old, obj *apiregistrationv1.APIService) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := maps.Clone(a.remotes())
	if next == nil {
		next = map[schema.GroupVersion]*remote{}
	}
	if old != nil {
		gv := groupVersion(old)
		if r := next[gv]; r != nil && (obj == nil || !r.serves(obj)) {
			delete(next, gv)
			defer r.close()
		}
	}
	if obj != nil && obj.Spec.Service != nil && !isSelf(obj.Spec.Service) {
		gv := groupVersion(obj)
		next[gv] = a.remoteOf(obj, next[gv])
	}
	if len(next) == 0 && a.table.Load() == nil {
		return
	}
	a.store(next)
}

// store publishes a table, then counts the change: who has read the count first may see more than it says, never less.
func (a *Aggregator) store(remotes map[schema.GroupVersion]*remote) {
	defer changes.Add(1)
	if len(remotes) == 0 {
		a.table.Store(nil)
		return
	}
	a.table.Store(&table{remotes})
}

// remoteOf is the remote that an APIService describes: the one there is, if only its status has changed.
func (a *Aggregator) remoteOf(obj *apiregistrationv1.APIService, old *remote) *remote {
	if old == nil || !old.serves(obj) {
		made, err := newRemote(a, obj)
		if err != nil {
			klog.ErrorS(err, "Requests to an APIService will fail", "apiService", obj.Name)
		}
		old = made
	}
	old.available.Store(isAvailable(obj))
	return old
}

func groupVersion(obj *apiregistrationv1.APIService) schema.GroupVersion {
	return schema.GroupVersion{Group: obj.Spec.Group, Version: obj.Spec.Version}
}

// isSelf says that an APIService points to the servers of this very cluster: what they serve, they serve without a detour.
func isSelf(service *apiregistrationv1.ServiceReference) bool {
	return service.Namespace == "default" && service.Name == "kubernetes"
}

// Package apiserver is kube-apiserver: the one door to the cluster's state. A request passes the filters of chain.go and comes to
// a verb of package rest, which every kind has alike; only behaviour that a kind has of its own stands elsewhere.
package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/aggregate"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/crd"
	"github.com/septet-io/septet/apiserver/discovery"
	"github.com/septet-io/septet/apiserver/flow"
	"github.com/septet-io/septet/apiserver/h2"
	"github.com/septet-io/septet/apiserver/openapi"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/services"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/resource"
	"github.com/septet-io/septet/resource/builtin"
	"github.com/septet-io/septet/resource/core"
)

// Server is a kube-apiserver. Make it with New; it serves in-process clients at once, and the network in Run.
type Server struct {
	// Resources are what is served. Custom resources are added and removed at run time.
	Resources rest.Registry
	// Journal is what was written.
	Journal *journal.Ring
	// Health are the checks behind /livez, /readyz and /healthz.
	Health Health

	// Loopback is the server's own client, whose informers hold the server's own objects. Set by Open.
	Loopback *client.Set

	// OpenAPI describes what is served.
	OpenAPI *openapi.Handler

	config   Config
	standard *Standard // set by Open
	// definitions are the custom resources; set by Open.
	definitions *crd.Definitions
	// repair keeps cluster IPs and Services in agreement; set by Open, where there are cluster IPs.
	repair *services.Repair
	// bootstrapped is closed by Bootstrap.
	bootstrapped chan struct{}
	env          *rest.Env
	backend      *store.Backend
	discovery    *discovery.Handler
	aggregator   *aggregate.Aggregator // set by Open
	fairness     *flow.Fairness        // set by Open; nil: requests are not queued
	paths        pathTable
	origins      []*regexp.Regexp

	authenticator request.Authenticator
	authorizer    request.Authorizer

	started  time.Time
	stopping atomic.Bool
	draining chan struct{}
	ended    sync.Once
	drained  drain
	stores   stores
}

// New makes a server of the built-in kinds. It asks nothing of etcd yet: stores fill themselves when they are first used.
func New(ctx context.Context, config Config) (*Server, error) {
	s := &Server{config: config, Journal: config.Journal, draining: make(chan struct{}), started: time.Now()}
	s.drained.empty = make(chan struct{})
	if s.Journal == nil {
		s.Journal = journal.New(0)
	}
	s.authenticator, s.authorizer = config.Authenticator, config.Authorizer
	if s.authenticator == nil && config.ClientCA != nil {
		s.authenticator = &authn.X509{Roots: config.ClientCA}
	}
	if s.authorizer == nil {
		s.authorizer = mastersOnly{}
	}
	var err error
	if s.origins, err = compileOrigins(config.AllowOrigins); err != nil {
		return nil, err
	}
	s.backend = store.Connect(store.BackendOptions{
		Client: config.Etcd, Prefix: config.EtcdPrefix, Revision: config.EtcdRevision,
		Dedicated: config.EtcdDedicated, CompactEvery: config.CompactEvery, LeaseReuse: config.LeaseReuse,
	})
	s.env = &rest.Env{
		Admission: &admission.Chain{Plugins: config.Admission, Observe: observeAdmission},
		Journal:   s.Journal, Fields: rest.NewFields(s.Resources.Kind),
		Draining: s.draining, MinWatch: config.MinWatch, DeleteWorkers: config.DeleteWorkers,
	}
	if !config.AllowPrivileged {
		s.env.Validate = core.RefusePrivileged
	}
	s.env.Fields.Described = openapi.Types
	s.addKinds(builtin.All())
	s.discovery = discovery.New(&s.Resources)
	s.OpenAPI = &openapi.Handler{Registry: &s.Resources}
	s.addHealth()
	s.addPaths()
	return s, nil
}

// addKinds binds the built-in kinds to their stores.
func (s *Server) addKinds(kinds []*resource.Kind) {
	all := make([]*rest.Resource, 0, len(kinds))
	for _, kind := range kinds {
		all = append(all, rest.New(kind, s.env, s.opener(kind)))
	}
	for _, r := range all {
		switch r.Kind.Resource {
		case namespaces:
			r.Hooks = namespaceHooks
		case componentStatuses:
			r.Open = s.componentStatuses(r.Open)
		}
		r.Hidden = s.config.Hidden[r.Kind.Resource]
	}
	s.Resources.Change(all, nil)
}

// stores has one Store for each stored kind, made on first use; kinds that are stored as another one share its Store.
type stores struct {
	mu   sync.Mutex
	all  map[*resource.Kind]store.Store // by stored kind
	done bool
}

// opener returns a function that makes or finds the Store of a kind.
func (s *Server) opener(kind *resource.Kind) func() store.Store {
	for kind.StoredAs != nil {
		kind = kind.StoredAs
	}
	return sync.OnceValue(func() store.Store {
		options := store.Options{Kind: kind, Backend: s.backend, Codec: s.codec(kind), Index: indexes[kind.GroupResource()]}
		if s.config.Encryption != nil {
			options.Transformer = s.config.Encryption.For(kind.GroupResource())
		}
		return s.stores.open(options)
	})
}

// open returns the Store of a stored kind.
func (s *stores) open(options store.Options) store.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.all[options.Kind]; found != nil {
		return found
	}
	made := store.New(options)
	if s.done {
		made.Stop()
	}
	if s.all == nil {
		s.all = map[*resource.Kind]store.Store{}
	}
	s.all[options.Kind] = made
	return made
}

// close lets go of the store of a kind that is served no more: watches end at once, requests under way have until then.
func (s *stores) close(kind *resource.Kind, until time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.all[kind]
	if old == nil {
		return
	}
	old.Retire()
	time.AfterFunc(until, func() {
		old.Stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, kind)
	})
}

// opened are the stores that somebody has used.
func (s *stores) opened() map[*resource.Kind]store.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

func (s *stores) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = true
	for _, one := range s.all {
		one.Stop()
	}
}

// indexes are the fields by which many watchers each want a small part.
var indexes = map[schema.GroupResource][]string{{Resource: "pods"}: {"spec.nodeName"}}

// codec is the form in etcd: upstream keeps the kinds of its two inner servers as JSON.
func (s *Server) codec(kind *resource.Kind) store.Codec {
	group := kind.GroupVersionKind.Group
	if s.config.StoreJSON || group == "apiextensions.k8s.io" || group == "apiregistration.k8s.io" {
		return store.Defaulted(store.JSONCodec(kind), kind)
	}
	return store.Defaulted(store.ProtobufCodec(kind), kind)
}

// Run serves the Listener until ctx ends, then drains: it is no longer ready, watches end, requests under way are finished.
func (s *Server) Run(ctx context.Context) error {
	defer s.backend.Stop()
	defer s.stores.stop()
	if s.config.Encryption != nil && s.config.ReloadEncryption {
		go func() {
			if err := s.config.Encryption.Watch(ctx); err != nil {
				klog.ErrorS(err, "Changes of the encryption configuration are not noticed")
			}
		}()
	}
	if s.config.Listener == nil {
		<-ctx.Done()
		s.endWatches()
		return nil
	}
	server := s.httpServer()
	failed := make(chan error, 1)
	listener := s.config.Listener
	if !s.config.NoHTTP2 {
		listener = h2.Listen(listener)
	}
	go func() { failed <- server.Serve(tls.NewListener(listener, server.TLSConfig)) }()
	select {
	case err := <-failed:
		s.endWatches()
		return err
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	pause(s.config.ShutdownDelay)
	if s.config.ShutdownSendRetryAfter { // the port stays open, to tell clients to go elsewhere
		s.drained.refuse(s.requestTimeout())
		s.endWatches()
		return s.shutdown(server)
	}
	s.drained.refusing.Store(true)
	s.endWatches()
	return s.shutdown(server)
}

// requestTimeout bounds requests that do not run long by nature.
func (s *Server) requestTimeout() time.Duration {
	if s.config.RequestTimeout > 0 {
		return s.config.RequestTimeout
	}
	return defaultRequestTimeout
}

// endWatches lets every watch end, so that its client goes to another server.
func (s *Server) endWatches() {
	s.stopping.Store(true)
	s.ended.Do(func() { close(s.draining) })
}

// drainTime is how long connections may take to close when no request is under way but those that run long by nature.
const drainTime = 10 * time.Second

// shutdown closes the port, waits for requests under way, and closes all connections.
func (s *Server) shutdown(server *http.Server) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		s.drained.refuse(s.requestTimeout())
		time.AfterFunc(drainTime, cancel)
	}()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.Canceled) {
		return server.Close()
	}
	return err
}

func pause(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

const (
	idleTimeout = 90 * time.Second
	maxHeader   = 1 << 20
)

// httpServer has bounds for what a client may take: header size, idle time, streams.
func (s *Server) httpServer() *http.Server {
	streams := s.config.MaxStreams
	if streams == 0 {
		streams = defaultMaxStreams
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!s.config.NoHTTP2)
	server := &http.Server{
		Handler: s, TLSConfig: s.tls(), Protocols: protocols,
		ReadHeaderTimeout: 32 * time.Second, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: serveErrors,
	}
	if !s.config.NoHTTP2 {
		second := &h2.Server{MaxStreams: streams, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: serveErrors}
		second.Configure(server)
	}
	return server
}

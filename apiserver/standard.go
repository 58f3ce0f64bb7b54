package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	admissionconfig "github.com/septet-io/septet/apiserver/admission/config"
	"github.com/septet-io/septet/apiserver/admission/match"
	"github.com/septet-io/septet/apiserver/admission/plugins"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authn/oidc"
	"github.com/septet-io/septet/apiserver/authn/serviceaccount"
	"github.com/septet-io/septet/apiserver/authz"
	"github.com/septet-io/septet/apiserver/authz/remote"
	"github.com/septet-io/septet/apiserver/bootstrap"
	"github.com/septet-io/septet/apiserver/connect"
	"github.com/septet-io/septet/apiserver/informer"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/services"
	"github.com/septet-io/septet/client"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/resource"
)

// Standard says how a complete server knows, allows and admits its clients, and what it puts into the API by itself: what
// upstream's flags say. The zero value of a field is upstream's default, except where noted.
type Standard struct {
	// Address and Port are where clients in the cluster reach this server: the endpoint of the "kubernetes" Service.
	Address netip.Addr
	Port    int32
	// ServiceCIDRs are where cluster IPs come from, one an IP family; NodePorts where node ports do ("30000-32767").
	ServiceCIDRs []netip.Prefix
	NodePorts    string

	// ClientCAFile are the authorities of users' certificates.
	ClientCAFile string
	// Header lets an authenticating proxy name users; nil: none does.
	Header       *authn.Header
	HeaderCAFile string
	// NoAnonymous refuses requests without credentials.
	NoAnonymous bool
	// AnonymousGiven says that a flag decided so, which excludes that AuthenticationFile does.
	AnonymousGiven bool
	// AuthenticationFile is an AuthenticationConfiguration, which is read again when it changes: OpenID Connect providers, and
	// instead of NoAnonymous where requests without credentials are let in.
	AuthenticationFile string
	// OIDC are the --oidc-* flags, one provider instead of a file; may be nil.
	OIDC *oidc.Flags
	// TokenWebhook asks a remote service for the owners of tokens; nil: none.
	TokenWebhook *authn.WebhookTokens
	// TokenFile holds static tokens.
	TokenFile string
	// BootstrapTokens lets new nodes in by tokens.
	BootstrapTokens bool
	// Issuers of service account tokens, the first that of new ones. SigningKeyFile signs them; KeyFiles verify them beside it.
	Issuers         []string
	SigningKeyFile  string
	KeyFiles        []string
	Audiences       []string // the issuers if empty
	KeysURL         string
	MaxTokenSeconds int64
	// NoLookup takes tokens of service accounts that may be gone; NoExtendedTokens lets those of Pods end when they say.
	NoLookup, NoExtendedTokens bool

	// Modes of authorization in order: Node, RBAC, ABAC, Webhook, AlwaysAllow, AlwaysDeny; Node and RBAC if nil.
	Modes []string
	// PolicyFile has the policies of the mode ABAC.
	PolicyFile string
	// AuthorizationWebhook is that of the mode Webhook.
	AuthorizationWebhook *remote.Webhook
	// AuthorizationFile is an AuthorizationConfiguration instead of Modes, which is read again when it changes.
	AuthorizationFile string

	// EnablePlugins and DisablePlugins change which admission plug-ins run, by name.
	EnablePlugins, DisablePlugins []string
	// AdmissionFile configures admission plug-ins: a file of kind AdmissionConfiguration; empty: there is none.
	AdmissionFile string
	// NotReadySeconds and UnreachableSeconds are for how long Pods stay on nodes that are not ready or not reachable, if they do not
	// say; nil: five minutes.
	NotReadySeconds, UnreachableSeconds *int64

	// EventTTL is how long events are kept; an hour if 0.
	EventTTL time.Duration
	// NoEndpoints leaves the endpoints of the "kubernetes" Service to somebody else.
	NoEndpoints bool

	// ServiceNodePort makes that Service one of type NodePort, where it is not there yet; 0: it has a cluster IP only.
	ServiceNodePort int32
	// ExternalName is the host by which documents name this server to clients, with or without a port; Address if empty.
	ExternalName string

	// BytesPerSecond bounds what each connection through the server passes (exec, port-forward, proxy); 0: any.
	BytesPerSecond int64
	// KubeletPort is that of kubelets that do not tell theirs; 10250 if 0.
	KubeletPort int
	// Kubelet is the client side of connections to kubelets.
	Kubelet             *tls.Config
	KubeletAddressTypes []string

	// Seats is how many requests run at a time.
	Seats Seats
	// Aggregation is how requests come to other servers.
	Aggregation Aggregation
}

// Open makes a complete server: New, with everything that Standard describes. Bootstrap must be running for
// it to become ready.
func Open(ctx context.Context, config Config, standard Standard) (*Server, error) {
	o := &opening{Standard: standard, ctx: ctx}
	if err := o.loadKeys(); err != nil {
		return nil, err
	}
	authenticator, err := o.authenticator()
	if err != nil {
		return nil, err
	}
	config.Authenticator = authenticator
	if config.ClientCA == nil && o.ClientCAFile != "" {
		config.ClientCA = o.clientCA()
	}
	s, err := New(ctx, config)
	if err != nil {
		return nil, err
	}
	o.server.Store(s)
	s.discovery.Address = standard.external()
	self := resource.User{Name: "system:apiserver", Groups: []string{authz.Masters, authn.Authenticated}}
	loopback := s.Local(self)
	loopback.UserAgent = "kube-apiserver" // the field manager of what it writes
	if s.Loopback, err = client.New(loopback); err != nil {
		return nil, err
	}
	s.Loopback.Informers = informer.Factory(&s.Resources, s.Loopback)
	s.Loopback.MetadataInformers = informer.Metadata(&s.Resources, s.Loopback.Metadata)
	if err := o.authorize(s); err != nil {
		return nil, err
	}
	var configured *admissionconfig.Config
	if o.AdmissionFile != "" {
		if configured, err = admissionconfig.Load(o.AdmissionFile); err != nil {
			return nil, fmt.Errorf("--admission-control-config-file: %w", err)
		}
	}
	own, err := plugins.New(&plugins.Env{
		Set: s.Loopback, Config: configured, World: &match.World{Resources: &s.Resources, Authorizer: s.authorizer},
		NotReadySeconds: o.NotReadySeconds, UnreachableSeconds: o.UnreachableSeconds,
	}, o.EnablePlugins, o.DisablePlugins)
	if err != nil {
		return nil, err
	}
	s.env.EventTTL = o.EventTTL
	s.env.Admission.Plugins = append(own, config.Admission...)
	s.promptly()
	if err := o.wire(s); err != nil {
		return nil, err
	}
	if err := o.customize(s); err != nil {
		return nil, err
	}
	o.aggregate(s)
	o.share(s)
	s.standard, s.bootstrapped = &o.Standard, make(chan struct{})
	return s, nil
}

// external is where documents send clients to: host and port; empty if nothing is known.
func (s *Standard) external() string {
	if s.ExternalName != "" {
		if _, _, err := net.SplitHostPort(s.ExternalName); err == nil {
			return s.ExternalName
		}
		return net.JoinHostPort(s.ExternalName, strconv.Itoa(int(s.Port)))
	}
	if !s.Address.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(s.Address, uint16(s.Port)).String()
}

// opening is a Standard on its way to becoming a server.
type opening struct {
	Standard
	ctx    context.Context // of what goes on in the background
	server atomic.Pointer[Server]
	signer *serviceaccount.Signer
	keys   []jose.JSONWebKey
	bearer *authn.Bearer
}

func (o *opening) loadKeys() error {
	var err error
	if o.keys, err = serviceaccount.LoadPublicKeys(o.KeyFiles); err != nil {
		return err
	}
	if len(o.Audiences) == 0 {
		o.Audiences = o.Issuers
	}
	if o.SigningKeyFile == "" {
		return nil
	}
	if len(o.Issuers) == 0 {
		return errors.New("--service-account-issuer is needed with --service-account-signing-key-file")
	}
	pem, err := os.ReadFile(o.SigningKeyFile)
	if err != nil {
		return fmt.Errorf("service account signing key: %w", err)
	}
	if o.signer, err = serviceaccount.NewSigner(o.Issuers[0], pem); err != nil {
		return fmt.Errorf("%s: %w", o.SigningKeyFile, err)
	}
	known := slices.ContainsFunc(o.keys, func(k jose.JSONWebKey) bool { return k.KeyID == o.signer.Public().KeyID })
	if !known {
		o.keys = append([]jose.JSONWebKey{o.signer.Public()}, o.keys...)
	}
	return nil
}

func (o *opening) clientCA() func() (*x509.CertPool, error) {
	authorities := &daemon.Authorities{File: o.ClientCAFile}
	return authorities.Pool
}

// guarded are hooks that only refuse.
func guarded(check func(ctx context.Context, r *resource.Request, obj, old resource.Object) error) rest.Hooks {
	return rest.Hooks{
		BeforeCreate: func(ctx context.Context, r *resource.Request, obj resource.Object) (rest.Undo, error) {
			return nil, check(ctx, r, obj, nil)
		},
		BeforeUpdate: func(ctx context.Context, r *resource.Request, obj, old resource.Object) (rest.Undo, error) {
			return nil, check(ctx, r, obj, old)
		},
	}
}

// wire gives subresources, reviews and Services their behaviour.
func (o *opening) wire(s *Server) error {
	connect.Wire(&s.Resources, connect.Config{
		Kubelet: o.Kubelet, AddressTypes: o.KubeletAddressTypes, Tokens: o.bearer, Audiences: o.Audiences,
		Authorizer: s.authorizer, Signer: o.signer, MaxTokenSeconds: o.MaxTokenSeconds, ExtendTokens: !o.NoExtendedTokens,
		BytesPerSecond: o.BytesPerSecond, KubeletPort: o.KubeletPort,
	})
	if o.signer != nil {
		if o.KeysURL == "" && o.ExternalName != "" {
			o.KeysURL = "https://" + o.external() + serviceaccount.KeysPath
		}
		documents, err := serviceaccount.NewDiscovery(o.Issuers[0], o.KeysURL, o.keys)
		if err != nil {
			return err
		}
		s.Handle(serviceaccount.ConfigurationPath, http.HandlerFunc(documents.ServeConfiguration))
		s.Handle(serviceaccount.KeysPath, http.HandlerFunc(documents.ServeKeys))
	}
	if len(o.ServiceCIDRs) == 0 {
		return nil
	}
	allocator, err := services.New(services.Config{
		Resources: &s.Resources, Etcd: s.config.Etcd, Prefix: s.prefix(), CIDRs: o.ServiceCIDRs, NodePorts: o.NodePorts,
	})
	if err != nil {
		return err
	}
	r := s.Resources.Get(schema.GroupVersionResource{Version: "v1", Resource: "services"})
	r.Hooks = allocator.Hooks()
	s.repair = allocator.Repair(s.Loopback)
	return nil
}

// Bootstrapped is closed when what every cluster has is in the API.
func (s *Server) Bootstrapped() <-chan struct{} { return s.bootstrapped }

// Bootstrap starts the server's own informers and puts into the API what every cluster has; then it keeps the endpoints of
// the "kubernetes" Service until ctx ends. The server is ready once the first part is done; an error there is returned. Call it once.
func (s *Server) Bootstrap(ctx context.Context) error {
	s.Health.Check("poststarthook/rbac/bootstrap-roles", Boot, func(context.Context) error {
		select {
		case <-s.bootstrapped:
			return nil
		default:
			return errors.New("not finished")
		}
	})
	s.Loopback.Informers.Start(ctx.Done())
	var beside sync.WaitGroup // what follows objects as long as the server runs
	defer beside.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beside.Go(func() { s.aggregateUntil(ctx) })
	beside.Go(func() { s.definitions.Run(ctx) })
	beside.Go(func() { s.shareUntil(ctx) })
	if err := bootstrap.Objects(ctx, s.Loopback); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	keeper, err := s.kubernetesService(ctx)
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	close(s.bootstrapped)
	return s.keep(ctx, keeper)
}

// keep runs what goes on in the background until ctx ends.
func (s *Server) keep(ctx context.Context, keeper *bootstrap.Service) error {
	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background.Go(func() { s.keepPublishing(ctx) })
	if keeper != nil {
		background.Go(func() { keeper.Run(ctx) })
	}
	if s.repair != nil {
		if err := s.repair.Run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("repair of cluster IPs: %w", err)
		}
	}
	<-ctx.Done()
	return nil
}

// kubernetesService makes the Service by which Pods reach the server, if there are cluster IPs.
func (s *Server) kubernetesService(ctx context.Context) (*bootstrap.Service, error) {
	if len(s.standard.ServiceCIDRs) == 0 || !s.standard.Address.IsValid() {
		return nil, nil
	}
	keeper := &bootstrap.Service{Client: s.Loopback, Etcd: s.config.Etcd, Prefix: s.prefix(), Address: s.standard.Address, Port: s.standard.Port}
	keeper.NodePort = s.standard.ServiceNodePort
	keeper.ClusterIPs = []string{s.standard.ServiceCIDRs[0].Masked().Addr().Next().String()}
	for _, prefix := range s.standard.ServiceCIDRs {
		keeper.CIDRs = append(keeper.CIDRs, prefix.String())
	}
	if err := keeper.Ensure(ctx); err != nil || s.standard.NoEndpoints {
		return nil, err
	}
	return keeper, nil
}

// prefix is that of all keys in etcd.
func (s *Server) prefix() string {
	if s.config.EtcdPrefix == "" {
		return "/registry"
	}
	return s.config.EtcdPrefix
}

// keepPublishing tries until it succeeds: others' admission may be in the way, and the server must run for that to be put right.
func (s *Server) keepPublishing(ctx context.Context) {
	const pause = 5 * time.Second
	for {
		err := s.publishAuthentication(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "The authorities of clients could not be published for other API servers; it is tried again")
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

func (s *Server) publishAuthentication(ctx context.Context) error {
	o := s.standard
	shown := bootstrap.ClientAuthentication{}
	for file, into := range map[string]*[]byte{o.ClientCAFile: &shown.ClientCA, o.HeaderCAFile: &shown.RequestHeaderCA} {
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		*into = pem
	}
	if o.Header != nil {
		shown.AllowedNames, shown.UserHeaders, shown.UIDHeaders = o.Header.AllowedNames, o.Header.User, o.Header.UID
		shown.GroupHeaders, shown.ExtraPrefixes = o.Header.Group, o.Header.ExtraPrefix
	}
	return shown.Ensure(ctx, s.Loopback)
}

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
)

// SecurePort is the port of a component that is no server otherwise: health to everybody, metrics and the journal to those
// whom the API server lets. It has upstream's flags.
type SecurePort struct {
	// Component names it to the API server.
	Component string
	// Port is the default of --secure-port.
	Port int
	// Profiles says whether it serves profiles.
	Profiles ProfileFlags

	bindAddress                     string
	certFile, keyFile, clientCAFile string
	authenticationKubeconfig        string
	authorizationKubeconfig         string
	alwaysAllow                     []string
	wanted                          TLSFlags
	noHTTP2, sharePort              bool
	unused                          string
	unusedList                      []string
	unusedFlag                      bool
}

// AddFlags adds upstream's flags of a secure port.
func (s *SecurePort) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.bindAddress, "bind-address", "0.0.0.0", "address to serve health and metrics on")
	flags.IntVar(&s.Port, "secure-port", s.Port, "port to serve health and metrics on; 0 serves nothing")
	flags.StringVar(&s.certFile, "tls-cert-file", "", "certificate (PEM) to serve with; one is made in memory if there is none")
	flags.StringVar(&s.keyFile, "tls-private-key-file", "", "private key (PEM) of that certificate")
	flags.StringVar(&s.clientCAFile, "client-ca-file", "", "CA bundle that client certificates are verified with")
	flags.StringVar(&s.authenticationKubeconfig, "authentication-kubeconfig", "", "kubeconfig for token reviews; this component's own if empty")
	flags.StringVar(&s.authorizationKubeconfig, "authorization-kubeconfig", "", "kubeconfig for access reviews; this component's own if empty")
	flags.StringSliceVar(&s.alwaysAllow, "authorization-always-allow-paths", []string{"/healthz", "/readyz", "/livez"}, "paths that are served without asking who asks")
	s.wanted.AddFlags(flags)
	s.Profiles.AddFlags(flags)
	flags.BoolVar(&s.noHTTP2, "disable-http2-serving", false, "serve HTTP/1.1 alone")
	flags.BoolVar(&s.sharePort, "permit-port-sharing", false, "let several processes listen on the port (SO_REUSEPORT)")
	const no = "accepted for compatibility, without effect"
	for _, name := range []string{"requestheader-client-ca-file", "tls-sni-cert-key", "http2-max-streams-per-connection",
		"authentication-token-webhook-cache-ttl", "authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl"} {
		flags.StringVar(&s.unused, name, "", no)
	}
	for _, name := range []string{"requestheader-allowed-names", "requestheader-extra-headers-prefix", "requestheader-group-headers",
		"requestheader-username-headers", "requestheader-uid-headers"} {
		flags.StringSliceVar(&s.unusedList, name, nil, no)
	}
	for _, name := range []string{"authentication-skip-lookup", "authentication-tolerate-lookup-failure", "permit-address-sharing"} {
		flags.BoolVar(&s.unusedFlag, name, false, no)
	}
}

// Listen opens the port, so that a busy one ends the process before anything else is done; nil if nothing is served.
func (s *SecurePort) Listen() (net.Listener, error) {
	if s.Port == 0 {
		return nil, nil
	}
	if _, err := s.wanted.Config(); err != nil {
		return nil, UsageError("%v", err)
	}
	address := net.JoinHostPort(s.bindAddress, strconv.Itoa(s.Port))
	listener, err := Listen(context.Background(), address, s.sharePort)
	if err != nil {
		return nil, fmt.Errorf("cannot serve on %s: %w", address, err)
	}
	return listener, nil
}

// Serve serves handler on the listener until ctx ends.
func (s *SecurePort) Serve(ctx context.Context, listener net.Listener, api kubernetes.Interface, handler http.Handler) error {
	config, err := s.tls()
	if err != nil {
		return err
	}
	review, access := api, api
	if s.authenticationKubeconfig != "" {
		if review, err = s.clientFrom(s.authenticationKubeconfig); err != nil {
			return err
		}
	}
	if s.authorizationKubeconfig != "" {
		if access, err = s.clientFrom(s.authorizationKubeconfig); err != nil {
			return err
		}
	}
	guard := &guard{next: s.Profiles.Over(handler), tokens: review, access: access, open: s.alwaysAllow}
	return Serve(ctx, listener, config, guard)
}

func (s *SecurePort) clientFrom(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %q: %w", kubeconfig, err)
	}
	config.UserAgent = UserAgent(s.Component)
	return kubernetes.NewForConfig(config)
}

func (s *SecurePort) tls() (*tls.Config, error) {
	config, err := s.wanted.Config()
	if err != nil {
		return nil, UsageError("%v", err)
	}
	if s.noHTTP2 {
		config.NextProtos = []string{"http/1.1"}
	}
	if s.certFile != "" {
		pair := &Certificate{CertFile: s.certFile, KeyFile: s.keyFile}
		if _, err := pair.Get(); err != nil {
			return nil, err
		}
		config.GetCertificate = pair.GetCertificate
	} else {
		certPEM, keyPEM, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if s.clientCAFile == "" {
		return config, nil
	}
	authorities := &Authorities{File: s.clientCAFile}
	if _, err := authorities.Pool(); err != nil {
		return nil, err
	}
	base := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool, err := authorities.Pool()
		if err != nil {
			return nil, err
		}
		current := base.Clone()
		current.ClientAuth, current.ClientCAs = tls.VerifyClientCertIfGiven, pool
		return current, nil
	}
	return config, nil
}

// guard lets requests through that the API server allows, asking it for each: the port is scraped a few times a minute.
type guard struct {
	next           http.Handler
	tokens, access kubernetes.Interface
	open           []string
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.isOpen(r.URL.Path) {
		g.next.ServeHTTP(w, r)
		return
	}
	user, err := g.who(r)
	if err != nil {
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	allowed, err := g.may(r, user)
	switch {
	case err != nil:
		http.Error(w, "could not ask the API server for permission", http.StatusInternalServerError)
	case !allowed:
		http.Error(w, fmt.Sprintf("Forbidden: User %q cannot %s path %q.", user.Username, verb(r), r.URL.Path), http.StatusForbidden)
	default:
		g.next.ServeHTTP(w, r)
	}
}

func (g *guard) isOpen(path string) bool {
	for _, open := range g.open {
		if path == open || (strings.HasSuffix(open, "/*") && strings.HasPrefix(path, strings.TrimSuffix(open, "*"))) {
			return true
		}
	}
	return false
}

// who returns the user of a request: by a verified client certificate, else by a bearer token, else nobody in particular.
func (g *guard) who(r *http.Request) (authenticationv1.UserInfo, error) {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return certificateUser(r.TLS.VerifiedChains[0][0]), nil
	}
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
	}
	review, err := g.tokens.AuthenticationV1().TokenReviews().Create(r.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	if !review.Status.Authenticated {
		return authenticationv1.UserInfo{}, fmt.Errorf("token is not valid")
	}
	return review.Status.User, nil
}

func certificateUser(leaf *x509.Certificate) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{
		Username: leaf.Subject.CommonName,
		Groups:   append(leaf.Subject.Organization[:len(leaf.Subject.Organization):len(leaf.Subject.Organization)], "system:authenticated"),
	}
}

func (g *guard) may(r *http.Request, user authenticationv1.UserInfo) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: verb(r)},
	}
	for key, values := range user.Extra {
		if spec.Extra == nil {
			spec.Extra = map[string]authorizationv1.ExtraValue{}
		}
		spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := g.access.AuthorizationV1().SubjectAccessReviews().Create(r.Context(), &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// verb of a request for something that is no resource: the method.
func verb(r *http.Request) string { return strings.ToLower(r.Method) }

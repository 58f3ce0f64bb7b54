package aggregate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/resource"
)

// remote is another server that serves one group version.
type remote struct {
	owner *Aggregator
	name  string // of the APIService
	spec  apiregistrationv1.APIServiceSpec
	// plain is for requests, upgrade for those that take the connection over, which HTTP/2 cannot.
	plain, upgrade *http.Transport
	// broken says why there are no transports.
	broken    error
	available atomic.Bool
	discovery atomic.Pointer[known]
	documents documents
}

// newRemote makes the remote of an APIService. It is usable with an error too: it answers with it.
func newRemote(a *Aggregator, obj *apiregistrationv1.APIService) (*remote, error) {
	r := &remote{owner: a, name: obj.Name, spec: *obj.Spec.DeepCopy()}
	config, err := r.tls()
	if err != nil {
		r.broken = err
		return r, err
	}
	r.plain = r.transport(config, true)
	r.upgrade = r.transport(config, false)
	return r, nil
}

// tls trusts the server by the APIService's authorities and its Service's name, and shows it who this is.
func (r *remote) tls() (*tls.Config, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: r.spec.Service.Name + "." + r.spec.Service.Namespace + ".svc",
		InsecureSkipVerify: r.spec.InsecureSkipTLSVerify, // what the APIService asks for
	}
	if r.owner.config.Identity != nil {
		config.GetClientCertificate = r.owner.config.Identity
	}
	if len(r.spec.CABundle) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(r.spec.CABundle) {
			return nil, errors.New("unable to load root certificates: spec.caBundle holds no certificate")
		}
	}
	return config, nil
}

const (
	dialTimeout      = 30 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 90 * time.Second
)

func (r *remote) transport(config *tls.Config, http2 bool) *http.Transport {
	dial := r.owner.config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	config = config.Clone()
	if !http2 {
		config.NextProtos = []string{"http/1.1"}
	}
	return &http.Transport{
		DialContext: dial, TLSClientConfig: config, ForceAttemptHTTP2: http2, TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: 25, IdleConnTimeout: idleTimeout, DisableCompression: true, // answers pass as they are
	}
}

// serves says whether the remote is still what an APIService describes.
func (r *remote) serves(obj *apiregistrationv1.APIService) bool {
	return r.name == obj.Name && reflect.DeepEqual(r.spec, obj.Spec)
}

func (r *remote) groupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: r.spec.Group, Version: r.spec.Version}
}

// close lets go of idle connections; requests under way end as they would.
func (r *remote) close() {
	if r.plain != nil {
		r.plain.CloseIdleConnections()
	}
}

// discoveryTimeout bounds requests for a list of resources, which clients make of all servers before they do anything.
const discoveryTimeout = 5 * time.Second

// ServeHTTP passes a request on. Failures are answered in upstream's plain words, not as a Status.
func (r *remote) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case strings.Contains(req.Header.Get("Via"), r.owner.mark):
		http.Error(w, "the request came back to the server that had passed it on", http.StatusLoopDetected)
	case !r.available.Load():
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
	case r.broken != nil:
		http.Error(w, r.broken.Error(), http.StatusInternalServerError)
	default:
		r.pass(w, req)
	}
}

func (r *remote) pass(w http.ResponseWriter, req *http.Request) {
	location, err := r.owner.resolve(req.Context(), r.spec.Service)
	if err != nil {
		klog.FromContext(req.Context()).V(2).Info("Cannot find where an APIService is served", "apiService", r.name, "err", err)
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	state := request.From(req.Context())
	if state.Verb == "watch" {
		state.Begun() // it is the other server that has work with it
	}
	ctx := req.Context()
	if !state.IsResource {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, discoveryTimeout)
		defer cancel()
	}
	// The path goes on decoded, as authorization has seen it; a server that splits the escaped one otherwise is not asked to.
	location.Path, location.RawQuery = req.URL.Path, req.URL.Query().Encode()
	out := req.WithContext(ctx)
	out.URL, out.Host, out.Header = location, location.Host, req.Header.Clone()
	out.Header.Set("Audit-Id", state.ID)
	r.owner.sign(out, &state.User)
	handler := proxy.NewUpgradeAwareHandler(location, r.plain, true, false, unreachable{})
	handler.UpgradeTransport = proxy.NewUpgradeRequestRoundTripper(r.upgrade, proxy.MirrorRequest)
	handler.RejectForwardingRedirects = !r.owner.config.ForwardRedirects
	handler.ServeHTTP(w, out)
}

// sign says for whom a request is passed on. What the client has put into these headers itself is gone.
func (a *Aggregator) sign(req *http.Request, user *resource.User) {
	transport.SetAuthProxyHeaders(req, user.Name, user.UID, user.Groups, user.Extra)
	req.Header.Del("Authorization")
	req.Header.Add("Via", "1.1 "+a.mark)
}

// unreachable answers for a server that could not be asked.
type unreachable struct{}

// Error is proxy.ErrorResponder.
func (unreachable) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// get asks the server for a path on this server's own behalf, as user. The body is at most maxDocument bytes.
func (r *remote) get(ctx context.Context, path string, user resource.User, header http.Header) (*http.Response, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	location, err := r.owner.resolve(ctx, r.spec.Service)
	if err != nil {
		return nil, err
	}
	return r.getAt(ctx, location, path, user, header)
}

func (r *remote) getAt(ctx context.Context, location *url.URL, path string, user resource.User, header http.Header) (*http.Response, error) {
	target := *location
	target.Path = path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header.Clone()
	}
	req.Header.Set("User-Agent", "kube-aggregator")
	r.owner.sign(req, &user)
	return r.plain.RoundTrip(req)
}

package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/lru"
)

// Credentials finds what to show to the webhook at a host: https://k8s.io/docs/reference/access-authn-authz/extensible-admission-controllers/#authenticate-apiservers
// For a Service host is "<name>.<namespace>.svc". The result has no server address.
type Credentials func(host string, port int) (*rest.Config, error)

// Resolver finds where a port of a Service can be reached: an address with a port.
type Resolver func(ctx context.Context, namespace, name string, port int32) (string, error)

// Clients has a client for each webhook that was called lately. Webhooks at one address with the same authorities share theirs.
type Clients struct {
	Resolve     Resolver
	Credentials Credentials // nil: none are shown

	kept *lru.Cache // of *client by configuration, as JSON
}

// mostClients is how many clients are kept.
const mostClients = 200

// NewClients returns an empty set.
func NewClients(resolve Resolver, credentials Credentials) *Clients {
	return &Clients{Resolve: resolve, Credentials: credentials, kept: lru.NewWithEvictionFunc(mostClients, func(_ lru.Key, value any) {
		value.(*client).transport.CloseIdleConnections()
	})}
}

// client posts to one webhook.
type client struct {
	*rest.RESTClient
	transport *http.Transport
}

// get returns the client for a configuration.
func (c *Clients) get(config *registrationv1.WebhookClientConfig) (*rest.RESTClient, error) {
	key, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	if known, found := c.kept.Get(string(key)); found {
		return known.(*client).RESTClient, nil
	}
	made, err := c.dial(config)
	if err != nil {
		return nil, err
	}
	c.kept.Add(string(key), made)
	return made.RESTClient, nil
}

// dial makes a client. Nothing is connected yet.
func (c *Clients) dial(config *registrationv1.WebhookClientConfig) (*client, error) {
	if config.Service != nil {
		return c.dialService(config.Service, config.CABundle)
	}
	if config.URL == nil {
		return nil, errors.New("webhook configuration must have either service or URL")
	}
	u, err := url.Parse(*config.URL)
	if err != nil {
		return nil, fmt.Errorf("Unparsable URL: %v", err) //nolint:staticcheck // upstream's words
	}
	port := 443
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return nil, err
		}
	}
	shown, err := c.credentials(u.Hostname(), port)
	if err != nil {
		return nil, err
	}
	shown.Host, shown.APIPath = u.Scheme+"://"+u.Host, u.Path
	// HTTP/2 would send all requests over one connection, and so to one of several backends.
	return newClient(shown, config.CABundle, "", isLocal(u.Hostname()), nil)
}

func isLocal(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}

// dialService connects to an endpoint of a Service, whose certificate must be for <name>.<namespace>.svc.
func (c *Clients) dialService(s *registrationv1.ServiceReference, authorities []byte) (*client, error) {
	port := int32(443)
	if s.Port != nil {
		port = *s.Port
	}
	name := s.Name + "." + s.Namespace + ".svc"
	shown, err := c.credentials(name, int(port))
	if err != nil {
		return nil, err
	}
	shown.Host = "https://" + net.JoinHostPort(name, strconv.Itoa(int(port)))
	if s.Path != nil {
		shown.APIPath = *s.Path
	}
	return newClient(shown, authorities, name, false, func(ctx context.Context) (string, error) {
		return c.Resolve(ctx, s.Namespace, s.Name, port)
	})
}

func (c *Clients) credentials(host string, port int) (*rest.Config, error) {
	if c.Credentials == nil {
		return &rest.Config{}, nil
	}
	shown, err := c.Credentials(host, port)
	if err != nil {
		return nil, err
	}
	return rest.CopyConfig(shown), nil
}

// newClient makes a client with a transport of its own, whose connections end with it.
func newClient(config *rest.Config, authorities []byte, name string, http2 bool, resolve func(context.Context) (string, error)) (*client, error) {
	config.QPS = -1
	secure, err := tlsOf(config, authorities, name)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: http2,
		MaxIdleConnsPerHost: 25, IdleConnTimeout: 90 * time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if resolve != nil {
				found, err := resolve(ctx)
				if err != nil {
					return nil, err
				}
				address = found
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, bounded{transport})
	if err != nil {
		return nil, err
	}
	config.NegotiatedSerializer, config.ContentType = reviews, "application/json"
	made, err := rest.UnversionedRESTClientForConfigAndClient(config, &http.Client{Transport: wrapped})
	if err != nil {
		return nil, err
	}
	return &client{made, transport}, nil
}

// tlsOf trusts the authorities of the webhook's configuration and those of the credentials; the machine's if there are neither.
func tlsOf(config *rest.Config, authorities []byte, name string) (*tls.Config, error) {
	if len(config.CAData) > 0 || len(authorities) > 0 {
		config.CAData = append(append(config.CAData[:len(config.CAData):len(config.CAData)], '\n'), authorities...)
		config.CAFile = ""
	}
	if config.ServerName == "" {
		config.ServerName = name
	}
	if len(authorities) > 0 && !x509.NewCertPool().AppendCertsFromPEM(authorities) {
		return nil, errors.New("unable to load root certificates: unable to parse bytes as PEM block")
	}
	secure, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	if secure == nil {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return secure, nil
}

// mostAnswer is how many bytes an answer may have: a patch can be as large as an object, in base64.
const mostAnswer = 8 << 20

// bounded ends answers that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip is http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{response.Body, mostAnswer}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

// Read is io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", mostAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/aggregate"
	"github.com/septet-io/septet/daemon"
)

// Aggregation says how requests come to other API servers. The zero value is upstream's default.
type Aggregation struct {
	// Identity is the certificate by which other servers know this one as a proxy that names users; nil: none is shown.
	Identity func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// ToEndpoints sends requests to a Service's endpoints rather than to its cluster IP.
	ToEndpoints bool
	// ForwardRedirects hands other servers' redirects on to clients.
	ForwardRedirects bool
	// Dial opens connections to other servers; nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// aggregate lets APIServices name other servers.
func (o *opening) aggregate(s *Server) {
	s.aggregator = aggregate.New(aggregate.Config{
		Resources: &s.Resources, Client: s.Loopback, Identity: o.Aggregation.Identity, ToEndpoints: o.Aggregation.ToEndpoints,
		ForwardRedirects: o.Aggregation.ForwardRedirects, Dial: o.Aggregation.Dial, Journal: s.Journal,
	})
	s.discovery.Foreign = s.aggregator.Versions
	s.OpenAPI.Foreign = s.aggregator
	s.Health.Check("autoregister-completion", Boot, s.aggregator.Registered)
}

// aggregateUntil keeps APIServices up to date until ctx ends.
func (s *Server) aggregateUntil(ctx context.Context) {
	if err := s.aggregator.Run(ctx); err != nil {
		klog.ErrorS(err, "APIServices are not kept up to date")
	}
}

// aggregationOptions are the flags about other API servers.
type aggregationOptions struct {
	certFile, keyFile string
	toEndpoints       bool
	rejectRedirects   bool
}

func (o *aggregationOptions) add(flags *pflag.FlagSet) {
	flags.StringVar(&o.certFile, "proxy-client-cert-file", "", "certificate to show to aggregated API servers")
	flags.StringVar(&o.keyFile, "proxy-client-key-file", "", "key of --proxy-client-cert-file")
	flags.BoolVar(&o.toEndpoints, "enable-aggregator-routing", false, "send requests for aggregated API servers to endpoints rather than to cluster IPs")
	flags.BoolVar(&o.rejectRedirects, "aggregator-reject-forwarding-redirect", true, "do not hand redirects of aggregated API servers on to clients")
}

// read makes the flags' meaning of them.
func (o *aggregationOptions) read() (Aggregation, error) {
	a := Aggregation{ToEndpoints: o.toEndpoints, ForwardRedirects: !o.rejectRedirects}
	if (o.certFile == "") != (o.keyFile == "") {
		return a, daemon.UsageError("--proxy-client-cert-file and --proxy-client-key-file: one needs the other")
	}
	if o.certFile == "" {
		return a, nil
	}
	pair := &daemon.Certificate{CertFile: o.certFile, KeyFile: o.keyFile}
	if _, err := pair.Get(); err != nil {
		return a, fmt.Errorf("--proxy-client-cert-file: %w", err)
	}
	a.Identity = pair.GetClientCertificate
	return a, nil
}

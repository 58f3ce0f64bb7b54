package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/journal"
	"github.com/septet-io/septet/kubelet/node"
	"github.com/septet-io/septet/kubelet/server"
	"github.com/septet-io/septet/kubelet/server/auth"
	"github.com/septet-io/septet/kubelet/server/stats"
)

// listeners are the ports of a kubelet; nil ones are not wanted.
type listeners struct{ secure, readOnly, health net.Listener }

// listen opens the ports, so that a busy one is known before anything else is done.
func (k *Kubelet) listen() (l listeners, err error) {
	c := k.config.Configuration
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if *c.EnableServer {
		if l.secure, err = open(c.Address, c.Port); err != nil {
			return l, err
		}
		if c.ReadOnlyPort > 0 {
			if l.readOnly, err = open(c.Address, c.ReadOnlyPort); err != nil {
				return l, err
			}
		}
	}
	if *c.HealthzPort > 0 {
		l.health, err = open(c.HealthzBindAddress, *c.HealthzPort)
	}
	return l, err
}

func (l *listeners) close() {
	for _, each := range []net.Listener{l.secure, l.readOnly, l.health} {
		if each != nil {
			each.Close()
		}
	}
}

func open(address string, port int32) (net.Listener, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("kubelet: cannot serve on port %d: %w; is another kubelet running?", port, err)
	}
	return listener, nil
}

// serve answers on the ports until ctx ends; what goes wrong later goes to failed.
func (k *Kubelet) serve(ctx context.Context, l listeners, failed chan<- error) {
	health := k.health()
	run := func(what string, f func() error) {
		go func() {
			if err := f(); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("kubelet: %s: %w", what, err)
			}
		}()
	}
	if l.health != nil {
		mux := http.NewServeMux()
		mux.Handle("/healthz", health)
		run("healthz", func() error { return daemon.Serve(ctx, l.health, nil, mux) })
	}
	if l.secure == nil {
		return
	}
	certificate, err := k.certificate(ctx)
	if err != nil {
		l.close()
		failed <- err
		return
	}
	s := server.New(k.serverConfig(certificate, health))
	run("server", func() error { return s.Serve(ctx, l.secure) })
	if l.readOnly != nil {
		run("read-only server", func() error { return daemon.Serve(ctx, l.readOnly, nil, s.ReadOnly()) })
	}
}

func (k *Kubelet) serverConfig(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), health http.Handler) server.Config {
	c := k.config.Configuration
	meter := &stats.Meter{
		NodeName: k.config.NodeName, Runtime: k.runtime, Cgroups: k.cgroups, Volumes: k.volumes, Pods: k.Pods,
		RootDir: k.config.RootDir, LogDir: c.PodLogsDir, Started: k.began,
	}
	return server.Config{
		Agent: k, Streams: k.runtime, Auth: k.auth(), Certificate: certificate,
		Summary: meter.Summary, Metrics: prometheus.DefaultGatherer,
		ConfigZ: func() any { return c }, Journal: journalHandler(k.config.Journal), Health: health,
		LogDir: logDirOf(c), NoDebugging: !*c.EnableDebuggingHandlers, Profiling: *c.EnableProfilingHandler,
	}
}

func logDirOf(c *kubeletconfig.KubeletConfiguration) string {
	if *c.EnableSystemLogHandler {
		return "/var/log"
	}
	return ""
}

func (k *Kubelet) auth() auth.Config {
	c := k.config.Configuration
	return auth.Config{
		NodeName: k.config.NodeName, ClientCAs: k.clientCAs(), Reviews: k.config.Client,
		Anonymous: *c.Authentication.Anonymous.Enabled, NoTokens: !*c.Authentication.Webhook.Enabled,
		AlwaysAllow: c.Authorization.Mode == kubeletconfig.KubeletAuthorizationModeAlwaysAllow,
		TokenTTL:    c.Authentication.Webhook.CacheTTL.Duration,
		AllowTTL:    c.Authorization.Webhook.CacheAuthorizedTTL.Duration, DenyTTL: c.Authorization.Webhook.CacheUnauthorizedTTL.Duration,
	}
}

func (k *Kubelet) clientCAs() func() (*x509.CertPool, error) {
	if k.config.ClientCAs != nil {
		return k.config.ClientCAs
	}
	if file := k.config.Configuration.Authentication.X509.ClientCAFile; file != "" {
		return (&daemon.Authorities{File: file}).Pool
	}
	return nil
}

// certificate says where the port's certificate comes from.
func (k *Kubelet) certificate(ctx context.Context) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	c := k.config.Configuration
	switch {
	case k.config.Certificate != nil:
		return k.config.Certificate, nil
	case c.ServerTLSBootstrap:
		return node.Serving(ctx, k.config.Client, k.config.CertDir, k.config.NodeName, k.node.IPs)
	}
	certFile, keyFile := c.TLSCertFile, c.TLSPrivateKeyFile
	if certFile == "" || keyFile == "" {
		var err error
		if certFile, keyFile, err = node.SelfSigned(k.config.CertDir, k.config.NodeName, k.config.NodeIPs); err != nil {
			return nil, err
		}
	}
	pair := &daemon.Certificate{CertFile: certFile, KeyFile: keyFile}
	if _, err := pair.Get(); err != nil {
		return nil, err
	}
	return pair.GetCertificate, nil
}

// health is whether the agent works: its runtime answers.
func (k *Kubelet) health() http.Handler {
	health := &daemon.Health{}
	health.Check("ping", func() error { return nil })
	health.Check("syncloop", func() error {
		ctx, cancel := context.WithTimeout(k.ctx, 5*time.Second)
		defer cancel()
		if _, err := k.runtime.Version(ctx); err != nil {
			return fmt.Errorf("container runtime: %w", err)
		}
		return nil
	})
	return health
}

// journalHandler serves what this kubelet did, oldest first.
func journalHandler(ring *journal.Ring) http.Handler {
	if ring == nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(ring.Select(nil)); err != nil {
			klog.FromContext(r.Context()).V(4).Info("Client went away", "err", err)
		}
	})
}

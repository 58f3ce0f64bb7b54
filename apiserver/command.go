package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/apiserver/admission/plugins"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/encrypt"
	"github.com/septet-io/septet/apiserver/trace"
	"github.com/septet-io/septet/daemon"
)

// Command returns the command kube-apiserver: this component alone, on any etcd, with upstream's flags.
func Command() *cobra.Command {
	o := &options{}
	return daemon.Component("kube-apiserver", "Serve the Kubernetes API", o.add, o.run)
}

// run serves until ctx ends.
func (o *options) run(ctx context.Context) error {
	config, standard, err := o.config()
	if err != nil {
		return daemon.UsageError("%v", err)
	}
	if names := o.noted(); len(names) > 0 {
		klog.InfoS("Flags without a meaning here are ignored", "flags", strings.Join(names, " "))
	}
	auditor, err := o.audit.Open()
	if err != nil {
		return daemon.UsageError("%v", err)
	}
	if auditor != nil {
		defer auditor.Close()
		config.Audit = auditor
	}
	closeTracer, err := o.applyTracing(&config)
	if err != nil {
		return daemon.UsageError("%v", err)
	}
	defer closeTracer()
	if config.GetCertificate, err = o.serving(standard.Address); err != nil {
		return err
	}
	if config.Etcd, err = store.Dial(store.Remote{Endpoints: o.etcdServers, CAFile: o.etcdCA, CertFile: o.etcdCert, KeyFile: o.etcdKey}); err != nil {
		return err
	}
	defer config.Etcd.Close()
	if config.Listener, err = daemon.Listen(ctx, net.JoinHostPort(o.bind.String(), fmt.Sprint(o.port)), o.front.sharePort); err != nil {
		return fmt.Errorf("--secure-port: %w", err)
	}
	server, err := Open(ctx, config, standard)
	if err != nil {
		config.Listener.Close()
		return err
	}
	return server.RunAll(ctx)
}

// RunAll is Run with Bootstrap beside it, for servers that were made by Open. The first error ends both.
func (s *Server) RunAll(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	booted := make(chan error, 1)
	go func() {
		err := s.Bootstrap(ctx)
		if err != nil {
			cancel()
		}
		booted <- err
	}()
	err := s.Run(ctx)
	cancel()
	if bootErr := <-booted; bootErr != nil && !errors.Is(bootErr, context.Canceled) {
		return bootErr
	}
	return err
}

// config turns flags into a Config. Errors name the flag.
func (o *options) config() (Config, Standard, error) {
	var err error
	config := Config{
		EtcdPrefix: o.etcdPrefix, CompactEvery: o.compactEvery(), RequestTimeout: o.requestTimeout,
		MinWatch: o.minWatch(), GoAwayChance: o.goAwayChance, MaxStreams: o.maxStreams,
		ShutdownDelay: o.shutdownDelay, ShutdownSendRetryAfter: o.sendRetryAfter, LivezGrace: o.livezGrace, AllowOrigins: o.origins,
	}
	if o.profiling {
		config.Paths = o.profilingPaths()
	}
	standard := Standard{
		Port: int32(o.port), NodePorts: o.nodePorts,
		ClientCAFile: o.clientCA, NoAnonymous: !o.anonymous, TokenFile: o.tokenFile, BootstrapTokens: o.bootstrapTokens,
		Issuers: o.issuers, SigningKeyFile: o.signingKey, KeyFiles: o.accountKeys, Audiences: o.audiences, KeysURL: o.keysURL,
		MaxTokenSeconds: o.maxTokenSeconds(), Modes: o.modes, KubeletAddressTypes: o.kubeletAddresses,
	}
	standard.AdmissionFile = o.admissionFile
	o.applyLasting(&standard)
	if standard.EnablePlugins, standard.DisablePlugins, err = o.plugins(); err != nil {
		return config, standard, err
	}
	standard.OIDC, standard.AnonymousGiven = &o.oidc, o.anonymousFlag.Changed
	if err := o.hooks.apply(&standard, o.modes); err != nil {
		return config, standard, err
	}
	if len(o.modes) == 0 {
		standard.Modes = []string{"AlwaysAllow"}
	}
	if err := o.supported(); err != nil {
		return config, standard, err
	}
	if len(o.etcdServers) == 0 {
		return config, standard, errors.New("--etcd-servers must be specified")
	}
	if o.goAwayChance < 0 || o.goAwayChance > maxGoAway {
		return config, standard, errGoAway
	}
	if _, err := compileOrigins(o.origins); err != nil {
		return config, standard, err
	}
	if o.livezGrace < 0 {
		return config, standard, errors.New("--livez-grace-period can not be a negative value")
	}
	if o.shutdownDelay < 0 {
		return config, standard, errors.New("--shutdown-delay-duration can not be negative value")
	}
	if standard.ServiceCIDRs, err = serviceRanges(o.serviceRange); err != nil {
		return config, standard, err
	}
	if standard.Address, err = o.address(); err != nil {
		return config, standard, err
	}
	if o.headerCA != "" {
		authorities := &daemon.Authorities{File: o.headerCA}
		standard.HeaderCAFile = o.headerCA
		standard.Header = &authn.Header{
			Roots: authorities.Pool, AllowedNames: o.headerNames, User: o.headerUsers, UID: o.headerUIDs, Group: o.headerGroups, ExtraPrefix: o.extras,
		}
	}
	if err := o.applyEncryption(&config); err != nil {
		return config, standard, err
	}
	if config.TLS, err = o.tls.Config(); err != nil {
		return config, standard, err
	}
	if standard.Aggregation, err = o.aggregation.read(); err != nil {
		return config, standard, err
	}
	if standard.Seats, err = o.seats.read(); err != nil {
		return config, standard, err
	}
	o.applyRest(&config, &standard)
	config.AllowPrivileged = o.cluster.privileged
	standard.Kubelet, err = o.kubelet()
	return config, standard, err
}

const maxGoAway = 0.02

var errGoAway = errors.New("--goaway-chance can not be less than 0 or greater than 0.02")

// compactEvery is how much history to keep; the flag's zero is all.
func (o *options) compactEvery() time.Duration {
	if o.etcdCompaction == 0 {
		return -1
	}
	return o.etcdCompaction
}

func (o *options) minWatch() time.Duration { return time.Duration(o.minRequestTimeout) * time.Second }

func (o *options) maxTokenSeconds() int64 { return int64(o.maxTokenLife / time.Second) }

// applyEncryption reads how objects are encrypted in etcd.
func (o *options) applyEncryption(config *Config) (err error) {
	if o.encryption == "" {
		return nil
	}
	if config.Encryption, err = encrypt.Open(o.encryption); err != nil {
		return fmt.Errorf("--encryption-provider-config: %w", err)
	}
	config.ReloadEncryption = o.reloadEncryption
	return nil
}

// applyTracing connects a collector. close is to be called when the server has ended.
func (o *options) applyTracing(config *Config) (close func(), err error) {
	if o.tracing == "" {
		return func() {}, nil
	}
	tracer, err := trace.Open(o.tracing)
	if err != nil {
		return func() {}, fmt.Errorf("--tracing-config-file: %w", err)
	}
	config.Tracer = tracer
	return func() {
		if err := tracer.Close(); err != nil {
			klog.V(2).InfoS("The last traces were lost", "err", err)
		}
	}, nil
}

// plugins reads which admission plug-ins to run.
func (o *options) plugins() (enable, disable []string, err error) {
	here := plugins.Names()
	if len(o.onlyPlugins) > 0 {
		return o.exactPlugins(here)
	}
	for _, name := range o.disablePlugins {
		if !slices.Contains(here, name) {
			return nil, nil, fmt.Errorf("--disable-admission-plugins: there is no plug-in %q", name)
		}
	}
	for _, name := range o.enablePlugins {
		if !slices.Contains(here, name) {
			return nil, nil, fmt.Errorf("--enable-admission-plugins: there is no plug-in %q", name)
		}
	}
	return o.enablePlugins, o.disablePlugins, nil
}

// exactPlugins is the deprecated way to say it: those that are named run, and no others.
func (o *options) exactPlugins(here []string) (enable, disable []string, err error) {
	if len(o.enablePlugins)+len(o.disablePlugins) > 0 {
		return nil, nil, errors.New("admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive")
	}
	for _, name := range o.onlyPlugins {
		if !slices.Contains(here, name) {
			return nil, nil, fmt.Errorf("--admission-control: there is no plug-in %q", name)
		}
	}
	for _, name := range here {
		if !slices.Contains(o.onlyPlugins, name) {
			disable = append(disable, name)
		}
	}
	return o.onlyPlugins, disable, nil
}

// applyLasting is about what lasts for how long.
func (o *options) applyLasting(standard *Standard) {
	standard.NotReadySeconds, standard.UnreachableSeconds = &o.notReady, &o.unreachable
	standard.EventTTL = o.eventTTL
}

// applyRest is what each group of flags says for itself. Call it when supported has found nothing.
func (o *options) applyRest(config *Config, standard *Standard) {
	o.front.apply(config, standard)
	o.storage.apply(config)
	o.cluster.apply(standard)
	o.apis.apply(config)
}

func serviceRanges(text string) ([]netip.Prefix, error) {
	if text == "" {
		text = "10.0.0.0/24" // upstream's default
	}
	var ranges []netip.Prefix
	for _, part := range strings.Split(text, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("--service-cluster-ip-range: %w", err)
		}
		ranges = append(ranges, prefix.Masked())
	}
	if len(ranges) > 2 || len(ranges) == 2 && ranges[0].Addr().Is4() == ranges[1].Addr().Is4() {
		return nil, errors.New("--service-cluster-ip-range: one range, or two of different IP families")
	}
	return ranges, nil
}

// address is where members of the cluster reach the server.
func (o *options) address() (netip.Addr, error) {
	for _, ip := range []net.IP{o.advertise, o.bind} {
		// Unmapped first: 0.0.0.0 in the form of IPv6 does not count as unspecified.
		if address, ok := netip.AddrFromSlice(ip); ok && !address.Unmap().IsUnspecified() {
			return address.Unmap(), nil
		}
	}
	// A socket that never sends anything tells which of the host's addresses leads outside.
	conn, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	defer conn.Close()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return local.Addr(), err
}

// kubelet is the client side of connections to kubelets.
func (o *options) kubelet() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.kubeletCA == ""}
	if o.kubeletCA != "" {
		authorities := &daemon.Authorities{File: o.kubeletCA}
		pool, err := authorities.Pool()
		if err != nil {
			return nil, fmt.Errorf("--kubelet-certificate-authority: %w", err)
		}
		config.RootCAs = pool
	}
	if o.kubeletCert != "" {
		pair := &daemon.Certificate{CertFile: o.kubeletCert, KeyFile: o.kubeletKey}
		if _, err := pair.Get(); err != nil {
			return nil, fmt.Errorf("--kubelet-client-certificate: %w", err)
		}
		config.GetClientCertificate = pair.GetClientCertificate
	}
	return config, nil
}

// profilingPaths are those of daemon.Profiling; contention is noted if a flag says so.
func (o *options) profilingPaths() map[string]http.Handler {
	if o.contention {
		runtime.SetBlockProfileRate(1)
	}
	return daemon.Profiling()
}

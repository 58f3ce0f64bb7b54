package apiserver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/daemon"
)

// Args are flags of kube-apiserver for a server that is otherwise put together by somebody else: `septet server`.
type Args struct {
	options
	given []string // names, sorted
}

// decided are the flags whose meaning is up to whoever puts the server together.
var decided = strings.Fields(`advertise-address api-audiences bind-address cert-dir client-ca-file enable-bootstrap-token-auth etcd-cafile etcd-certfile
	etcd-keyfile etcd-prefix etcd-servers kubelet-certificate-authority kubelet-client-certificate kubelet-client-key kubelet-preferred-address-types
	permit-port-sharing requestheader-allowed-names requestheader-client-ca-file requestheader-extra-headers-prefix requestheader-group-headers
	requestheader-uid-headers requestheader-username-headers secure-port service-account-issuer service-account-jwks-uri
	service-account-key-file service-account-signing-key-file service-cluster-ip-range service-node-port-range tls-cert-file
	tls-private-key-file`)

// ParseArgs reads flags as "name=value", with or without dashes before them. Errors name the flag.
func ParseArgs(args []string) (*Args, error) {
	a := &Args{}
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	a.add(flags)
	var dashed []string
	for _, arg := range args {
		dashed = append(dashed, "--"+strings.TrimLeft(arg, "-"))
	}
	if err := flags.Parse(dashed); err != nil {
		return nil, err
	}
	var errs []error
	for _, rest := range flags.Args() {
		errs = append(errs, fmt.Errorf("%q is no flag", rest))
	}
	flags.Visit(func(flag *pflag.Flag) {
		a.given = append(a.given, flag.Name)
		if slices.Contains(decided, flag.Name) {
			errs = append(errs, fmt.Errorf("--%s is decided by the cluster, not by flags of kube-apiserver", flag.Name))
		}
	})
	return a, errors.Join(append(errs, a.supported())...)
}

// has says whether any flag was given whose name begins so.
func (a *Args) has(prefixes ...string) bool {
	return slices.ContainsFunc(a.given, func(name string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
}

// Apply puts what the flags say into a Config and a Standard. close is to be called when the server has ended.
func (a *Args) Apply(config *Config, standard *Standard) (close func(), err error) {
	close = func() {}
	if len(a.given) == 0 {
		return close, nil
	}
	if names := a.noted(); len(names) > 0 {
		klog.InfoS("Flags without a meaning here are ignored", "flags", strings.Join(names, " "))
	}
	if err := a.applyServing(config); err != nil {
		return close, daemon.UsageError("%v", err)
	}
	if err := a.applyAccess(config, standard); err != nil {
		return close, daemon.UsageError("%v", err)
	}
	a.applyRest(config, standard)
	if a.has("allow-privileged") {
		config.AllowPrivileged = a.cluster.privileged
	}
	closeTracer, err := a.applyTracing(config)
	if err != nil {
		return close, daemon.UsageError("%v", err)
	}
	auditor, err := a.audit.Open()
	if err != nil {
		closeTracer()
		return close, daemon.UsageError("%v", err)
	}
	if auditor == nil {
		return closeTracer, nil
	}
	config.Audit = auditor
	return func() { closeTracer(); auditor.Close() }, nil
}

// applyServing is about connections and time.
func (a *Args) applyServing(config *Config) error {
	if a.goAwayChance < 0 || a.goAwayChance > maxGoAway {
		return errGoAway
	}
	config.GoAwayChance, config.AllowOrigins, config.MaxStreams = a.goAwayChance, a.origins, a.maxStreams
	config.RequestTimeout, config.ShutdownDelay, config.MinWatch = a.requestTimeout, a.shutdownDelay, a.minWatch()
	if a.has("etcd-compaction-interval") {
		config.CompactEvery = a.compactEvery()
	}
	if a.has("profiling", "contention-profiling") && a.profiling {
		config.Paths = a.profilingPaths()
	}
	if len(a.sni) > 0 {
		named, err := namedCertificates(a.sni)
		if err != nil {
			return err
		}
		config.GetCertificate = withNamed(named, config.GetCertificate)
	}
	if !a.has("tls-min-version", "tls-cipher-suites", "tls-curve-preferences") {
		return nil
	}
	var err error
	config.TLS, err = a.tls.Config()
	return err
}

// applyAccess is about who may, and what lies in etcd.
func (a *Args) applyAccess(config *Config, standard *Standard) error {
	standard.NoAnonymous, standard.TokenFile, standard.MaxTokenSeconds = !a.anonymous, a.tokenFile, a.maxTokenSeconds()
	standard.OIDC, standard.AnonymousGiven = &a.oidc, a.anonymousFlag.Changed
	a.applyLasting(standard)
	if len(a.modes) > 0 {
		standard.Modes = a.modes
	}
	if err := a.hooks.apply(standard, a.modes); err != nil {
		return err
	}
	var err error
	if standard.EnablePlugins, standard.DisablePlugins, err = a.plugins(); err != nil {
		return err
	}
	return a.applyEncryption(config)
}

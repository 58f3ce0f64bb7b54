package apiserver

import (
	"net"
	"time"

	"github.com/spf13/pflag"

	"github.com/septet-io/septet/apiserver/audit"
	"github.com/septet-io/septet/apiserver/authn/oidc"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/resource/core"
)

// options are upstream's flags that have a meaning here.
type options struct {
	bind                          net.IP
	port                          int
	advertise                     net.IP
	certDir, certFile, keyFile    string
	maxStreams                    int
	goAwayChance                  float64
	shutdownDelay, requestTimeout time.Duration
	livezGrace                    time.Duration
	sendRetryAfter                bool
	minRequestTimeout             int
	origins                       []string
	profiling, contention         bool

	etcdServers                      []string
	etcdCA, etcdCert, etcdKey        string
	etcdPrefix                       string
	etcdCompaction                   time.Duration
	serviceRange                     string
	nodePorts                        string
	clientCA, tokenFile              string
	anonymous, bootstrapTokens       bool
	anonymousFlag                    *pflag.Flag
	issuers, accountKeys, audiences  []string
	signingKey, keysURL              string
	maxTokenLife                     time.Duration
	modes                            []string
	enablePlugins, disablePlugins    []string
	onlyPlugins                      []string
	admissionFile                    string
	headerCA                         string
	headerNames, headerUsers         []string
	headerUIDs, headerGroups, extras []string

	kubeletCA, kubeletCert, kubeletKey string
	kubeletAddresses                   []string

	aggregation      aggregationOptions
	seats            seatOptions
	notReady         int64
	unreachable      int64
	eventTTL         time.Duration
	encryption       string
	reloadEncryption bool
	tls              daemon.TLSFlags

	audit audit.Options
	oidc  oidc.Flags
	hooks hookFlags
	sni   []string

	tracing string

	front   servingFlags
	storage storageFlags
	cluster clusterFlags
	apis    apiFlags

	rigid *pflag.FlagSet
}

// add declares the flags, in upstream's names and with its defaults.
func (o *options) add(flags *pflag.FlagSet) {
	flags.IPVar(&o.bind, "bind-address", net.IPv4zero, "address to listen on")
	flags.IntVar(&o.port, "secure-port", 6443, "port to listen on, with TLS")
	flags.IPVar(&o.advertise, "advertise-address", nil, "address at which members of the cluster reach this server; found out if not given")
	flags.StringVar(&o.certDir, "cert-dir", "/var/run/kubernetes", "folder of apiserver.crt and apiserver.key, which are made if --tls-cert-file is not given")
	flags.StringVar(&o.certFile, "tls-cert-file", "", "serving certificate, with its chain")
	flags.StringVar(&o.keyFile, "tls-private-key-file", "", "key of --tls-cert-file")
	flags.IntVar(&o.maxStreams, "http2-max-streams-per-connection", 0, "requests at a time over one connection; 0: 1000")
	flags.Float64Var(&o.goAwayChance, "goaway-chance", 0, "how likely a request makes an HTTP/2 client connect again, at most 0.02")
	flags.DurationVar(&o.shutdownDelay, "shutdown-delay-duration", 0, "how long to go on serving, not ready, before connections are refused")
	flags.BoolVar(&o.sendRetryAfter, "shutdown-send-retry-after", false, "at the end keep the port open until requests under way have ended, and answer new ones with 429 and Retry-After")
	flags.DurationVar(&o.livezGrace, "livez-grace-period", 0, "how long after its start the server counts as alive though it is not ready")
	flags.DurationVar(&o.requestTimeout, "request-timeout", defaultRequestTimeout, "how long a request may take that does not run long by nature")
	flags.IntVar(&o.minRequestTimeout, "min-request-timeout", 1800, "seconds after which a watch may be ended")
	flags.StringSliceVar(&o.origins, "cors-allowed-origins", nil, "regular expressions of browsers' origins that may read answers")
	flags.BoolVar(&o.profiling, "profiling", true, "serve /debug/pprof/")
	flags.BoolVar(&o.contention, "contention-profiling", false, "with --profiling, note where goroutines wait for each other")
	flags.StringArrayVar(&o.sni, "tls-sni-cert-key", nil, "a further serving certificate and key, \"cert,key\", with the names that it is for, \":name,*.name\", or its own")

	flags.StringSliceVar(&o.etcdServers, "etcd-servers", nil, "etcd's URLs")
	flags.StringVar(&o.etcdCA, "etcd-cafile", "", "authorities of etcd")
	flags.StringVar(&o.etcdCert, "etcd-certfile", "", "certificate to show to etcd")
	flags.StringVar(&o.etcdKey, "etcd-keyfile", "", "key of --etcd-certfile")
	flags.StringVar(&o.etcdPrefix, "etcd-prefix", "/registry", "prefix of all keys")
	flags.DurationVar(&o.etcdCompaction, "etcd-compaction-interval", 5*time.Minute, "how much history to keep; 0: all")

	flags.StringVar(&o.encryption, "encryption-provider-config", "", "file of kind EncryptionConfiguration: how objects are encrypted in etcd")
	flags.BoolVar(&o.reloadEncryption, "encryption-provider-config-automatic-reload", false, "read that file again whenever it changes")
	o.tls.AddFlags(flags)

	flags.DurationVar(&o.eventTTL, "event-ttl", core.EventTTL, "how long events are kept")
	flags.Int64Var(&o.notReady, "default-not-ready-toleration-seconds", 300, "for how long Pods that do not say stay on a node that is not ready")
	flags.Int64Var(&o.unreachable, "default-unreachable-toleration-seconds", 300, "for how long Pods that do not say stay on a node that is not reachable")

	flags.StringVar(&o.serviceRange, "service-cluster-ip-range", "", "where cluster IPs of Services come from: one range, or two of different families")
	flags.StringVar(&o.nodePorts, "service-node-port-range", "30000-32767", "where node ports come from")
	o.addAuthentication(flags)
	o.addHooks(flags)
	flags.StringVar(&o.tracing, "tracing-config-file", "", "file of kind TracingConfiguration: which requests are told to an OpenTelemetry collector, and where that is")
	flags.StringSliceVar(&o.modes, "authorization-mode", nil, "who decides, in order: AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node; AlwaysAllow if not given")

	flags.StringSliceVar(&o.enablePlugins, "enable-admission-plugins", nil, "admission plug-ins to run besides the default ones")
	flags.StringSliceVar(&o.disablePlugins, "disable-admission-plugins", nil, "default admission plug-ins not to run")
	flags.StringSliceVar(&o.onlyPlugins, "admission-control", nil, "the admission plug-ins to run, and no others")
	deprecate(flags, "admission-control", "Use --enable-admission-plugins or --disable-admission-plugins instead. Will be removed in a future version.")
	flags.StringVar(&o.admissionFile, "admission-control-config-file", "", "file of kind AdmissionConfiguration: configures admission plug-ins")

	flags.StringVar(&o.kubeletCA, "kubelet-certificate-authority", "", "authorities of kubelets; without, they are not checked")
	flags.StringVar(&o.kubeletCert, "kubelet-client-certificate", "", "certificate to show to kubelets")
	flags.StringVar(&o.kubeletKey, "kubelet-client-key", "", "key of --kubelet-client-certificate")
	flags.StringSliceVar(&o.kubeletAddresses, "kubelet-preferred-address-types",
		[]string{"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"}, "which of a node's addresses to try, in order")
	o.audit.Add(flags)
	o.aggregation.add(flags)
	o.seats.add(flags)
	o.front.add(flags)
	o.storage.add(flags)
	o.cluster.add(flags)
	o.apis.add(flags)
	o.addRigid(flags)
}

// addAuthentication declares how users are known.
func (o *options) addAuthentication(flags *pflag.FlagSet) {
	flags.BoolVar(&o.anonymous, "anonymous-auth", true, "let requests without credentials in as system:anonymous; not with the authorization mode AlwaysAllow")
	o.anonymousFlag = flags.Lookup("anonymous-auth")
	flags.StringVar(&o.clientCA, "client-ca-file", "", "authorities of users' certificates")
	flags.StringVar(&o.tokenFile, "token-auth-file", "", "file of static tokens: token,user,uid,\"group,group\"")
	flags.BoolVar(&o.bootstrapTokens, "enable-bootstrap-token-auth", false, "let Secrets of type bootstrap.kubernetes.io/token in kube-system authenticate")
	flags.StringArrayVar(&o.issuers, "service-account-issuer", nil, "issuer of service account tokens; the first is that of new ones")
	flags.StringArrayVar(&o.accountKeys, "service-account-key-file", nil, "public or private keys that verify service account tokens")
	flags.StringVar(&o.signingKey, "service-account-signing-key-file", "", "private key that signs service account tokens")
	flags.StringVar(&o.keysURL, "service-account-jwks-uri", "", "where others find the public keys, for the discovery document")
	flags.StringSliceVar(&o.audiences, "api-audiences", nil, "who tokens for this server are meant for; the issuers if not given")
	flags.DurationVar(&o.maxTokenLife, "service-account-max-token-expiration", 0, "how long new tokens may be valid")
	flags.StringVar(&o.headerCA, "requestheader-client-ca-file", "", "authorities of proxies that authenticate users")
	flags.StringSliceVar(&o.headerNames, "requestheader-allowed-names", nil, "common names that such proxies may have; any if not given")
	flags.StringSliceVar(&o.headerUsers, "requestheader-username-headers", nil, "headers with the user's name")
	flags.StringSliceVar(&o.headerUIDs, "requestheader-uid-headers", nil, "headers with the user's UID")
	flags.StringSliceVar(&o.headerGroups, "requestheader-group-headers", nil, "headers with the user's groups")
	flags.StringSliceVar(&o.extras, "requestheader-extra-headers-prefix", nil, "prefixes of headers with more about the user")
}

// deprecate leaves a flag, which has been declared, out of the help, and warns whoever uses it.
func deprecate(flags *pflag.FlagSet, name, why string) {
	flag := flags.Lookup(name)
	flag.Deprecated, flag.Hidden = why, true
}

package member

import (
	"flag"
	"net/url"

	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/features"
)

// GateFlag is the flag of etcd's feature gates.
const GateFlag = "feature-gates"

// AddFlags declares etcd's flags, those of etcd 3.5 that begin with experimental- included.
func (s *Settings) AddFlags(fs *flag.FlagSet) {
	s.addListeners(fs)
	s.addCluster(fs)
	s.addDiscovery(fs)
	s.addTLS(fs)
	s.addStorage(fs)
	s.addRequests(fs)
	s.addChecks(fs)
	s.Log.addFlags(fs)
	s.addTracing(fs)
	s.ServerFeatureGate.(featuregate.MutableFeatureGate).AddFlag(fs, GateFlag)
	for older, gate := range features.ExperimentalFlagToFeatureMap {
		fs.Bool(older, s.ServerFeatureGate.Enabled(gate), "older form of --"+GateFlag+"="+string(gate)+"=true")
	}
	for older, flag := range olderFlags {
		fs.Var(fs.Lookup(flag).Value, older, "older name of --"+flag)
	}
}

func (s *Settings) addListeners(fs *flag.FlagSet) {
	fs.Var(urlList{&s.ListenPeer}, "listen-peer-urls", "URLs to listen on for other members")
	fs.Var(urlList{&s.ListenClient}, "listen-client-urls", "URLs to listen on for clients: gRPC, and HTTP unless --listen-client-http-urls is given")
	fs.Var(urlList{&s.ListenHTTP}, "listen-client-http-urls", "URLs to listen on for clients that speak HTTP only; --listen-client-urls speaks gRPC only then")
	fs.Var(urlList{&s.ListenMetrics}, "listen-metrics-urls", "further URLs to serve metrics and health on")
	fs.BoolVar(&s.SocketOpts.ReusePort, "socket-reuse-port", false, "listen with SO_REUSEPORT, on a port that may be in use")
	fs.BoolVar(&s.SocketOpts.ReuseAddress, "socket-reuse-address", false, "listen with SO_REUSEADDR, on an address in TIME_WAIT")
	fs.DurationVar(&s.PingMin, "grpc-keepalive-min-time", s.PingMin, "least time between pings of a client")
	fs.DurationVar(&s.PingEvery, "grpc-keepalive-interval", s.PingEvery, "time between pings to a client (0: none)")
	fs.DurationVar(&s.PingTimeout, "grpc-keepalive-timeout", s.PingTimeout, "how long to wait for the answer to a ping (0: no pings)")
	fs.Var(number{&s.MaxConcurrentStreams}, "max-concurrent-streams", "streams that a client may have open at a time")
	fs.Var(members{&s.CORS, true}, "cors", "origins that browsers may call from (empty or *: all)")
	fs.Var(members{&s.HostWhitelist, false}, "host-whitelist", "host names that HTTP requests without TLS may be for (empty or *: all)")
	fs.BoolVar(&s.EnableGRPCGateway, "enable-grpc-gateway", s.EnableGRPCGateway, "serve the API as JSON below /v3/ too")
	fs.BoolVar(&s.Profiling, "enable-pprof", false, "serve profiles below /debug/pprof/ of the client URLs")
	fs.StringVar(&s.Metrics, "metrics", s.Metrics, `"extensive" adds histograms of gRPC to the "basic" metrics`)
}

func (s *Settings) addCluster(fs *flag.FlagSet) {
	fs.StringVar(&s.Name, "name", s.Name, "name of this member")
	fs.Var(urlList{(*[]url.URL)(&s.PeerURLs)}, "initial-advertise-peer-urls", "this member's peer URLs, as others reach them")
	fs.Var(urlList{(*[]url.URL)(&s.ClientURLs)}, "advertise-client-urls", "this member's client URLs, as others reach them")
	fs.StringVar(&s.InitialCluster, "initial-cluster", s.Itself(), "members of a cluster that begins: name=url,name=url")
	fs.StringVar(&s.InitialClusterToken, "initial-cluster-token", s.InitialClusterToken, "keeps clusters apart that by mistake know each other's addresses")
	fs.StringVar(&s.ClusterState, "initial-cluster-state", s.ClusterState, `"new" for a cluster that begins, "existing" to join one`)
	fs.BoolVar(&s.StrictReconfigCheck, "strict-reconfig-check", s.StrictReconfigCheck, "refuse changes of the membership that would lose the quorum")
	fs.BoolVar(&s.PreVote, "pre-vote", s.PreVote, "ask before an election whether it could be won, so that a member that returns does not disturb")
	fs.IntVar(&s.MaxLearners, "max-learners", s.MaxLearners, "learners that the cluster may have")
	fs.UintVar(&s.TickMs, "heartbeat-interval", s.TickMs, "milliseconds between heartbeats")
	fs.UintVar(&s.ElectionMs, "election-timeout", s.ElectionMs, "milliseconds without a leader until an election")
	fs.BoolVar(&s.InitialElectionTickAdvance, "initial-election-tick-advance", s.InitialElectionTickAdvance, "hurry the first election after a start")
	fs.DurationVar(&rafthttp.ConnReadTimeout, "raft-read-timeout", rafthttp.DefaultConnReadTimeout, "timeout of reading from another member")
	fs.DurationVar(&rafthttp.ConnWriteTimeout, "raft-write-timeout", rafthttp.DefaultConnWriteTimeout, "timeout of writing to another member")
	fs.BoolVar(&s.ForceNewCluster, "force-new-cluster", false, "begin a cluster of one with this member's data: disaster recovery")
}

func (s *Settings) addDiscovery(fs *flag.FlagSet) {
	fs.StringVar(&s.DNSCluster, "discovery-srv", s.DNSCluster, "domain whose SRV records name the initial cluster")
	fs.StringVar(&s.DNSService, "discovery-srv-name", s.DNSService, "suffix of the service's name in those records")
	fs.StringVar(&s.DiscoveryURL, "discovery", s.DiscoveryURL, "URL of a discovery service that speaks API v2")
	fs.StringVar(&s.DiscoveryProxy, "discovery-proxy", s.DiscoveryProxy, "HTTP proxy on the way to it")
	d := &s.DiscoveryCfg
	fs.Var(words{&d.Endpoints}, "discovery-endpoints", "discovery by API v3: gRPC endpoints of the service")
	fs.StringVar(&d.Token, "discovery-token", "", "discovery by API v3: token of the cluster that begins")
	fs.DurationVar(&d.DialTimeout, "discovery-dial-timeout", d.DialTimeout, "discovery by API v3: timeout of dialing")
	fs.DurationVar(&d.RequestTimeout, "discovery-request-timeout", d.RequestTimeout, "discovery by API v3: timeout of requests")
	fs.DurationVar(&d.KeepAliveTime, "discovery-keepalive-time", d.KeepAliveTime, "discovery by API v3: time between pings")
	fs.DurationVar(&d.KeepAliveTimeout, "discovery-keepalive-timeout", d.KeepAliveTimeout, "discovery by API v3: how long to wait for the answer to a ping")
	fs.BoolVar(&d.Secure.InsecureTransport, "discovery-insecure-transport", true, "discovery by API v3: without TLS")
	fs.BoolVar(&d.Secure.InsecureSkipVerify, "discovery-insecure-skip-tls-verify", false, "discovery by API v3: do not verify the service (tests only)")
	fs.StringVar(&d.Secure.Cert, "discovery-cert", "", "discovery by API v3: certificate to show")
	fs.StringVar(&d.Secure.Key, "discovery-key", "", "discovery by API v3: the certificate's key")
	fs.StringVar(&d.Secure.Cacert, "discovery-cacert", "", "discovery by API v3: verify the service by this authority")
	fs.StringVar(&d.Auth.Username, "discovery-user", "", "discovery by API v3: user[:password]")
	fs.StringVar(&d.Auth.Password, "discovery-password", "", "discovery by API v3: password")
}

func (s *Settings) addTLS(fs *flag.FlagSet) {
	client, peer := &s.ClientTLS, &s.PeerTLSInfo
	fs.StringVar(&client.CertFile, "cert-file", "", "certificate for clients")
	fs.StringVar(&client.KeyFile, "key-file", "", "the certificate's key")
	fs.StringVar(&client.ClientCertFile, "client-cert-file", "", "certificate to show as a client, if not the same")
	fs.StringVar(&client.ClientKeyFile, "client-key-file", "", "the key of --client-cert-file")
	fs.BoolVar(&client.ClientCertAuth, "client-cert-auth", false, "refuse clients without a certificate of --trusted-ca-file")
	fs.StringVar(&client.TrustedCAFile, "trusted-ca-file", "", "authority of clients")
	fs.StringVar(&client.CRLFile, "client-crl-file", "", "certificates of clients that were revoked")
	fs.Var(words{&client.AllowedHostnames}, "client-cert-allowed-hostname", "names, one of which a client's certificate must have")
	fs.BoolVar(&s.AutoClientTLS, "auto-tls", false, "make a certificate for clients")
	fs.StringVar(&peer.CertFile, "peer-cert-file", "", "certificate for other members")
	fs.StringVar(&peer.KeyFile, "peer-key-file", "", "the certificate's key")
	fs.StringVar(&peer.ClientCertFile, "peer-client-cert-file", "", "certificate to show to other members, if not the same")
	fs.StringVar(&peer.ClientKeyFile, "peer-client-key-file", "", "the key of --peer-client-cert-file")
	fs.BoolVar(&peer.ClientCertAuth, "peer-client-cert-auth", false, "refuse members without a certificate of --peer-trusted-ca-file")
	fs.StringVar(&peer.TrustedCAFile, "peer-trusted-ca-file", "", "authority of members")
	fs.StringVar(&peer.CRLFile, "peer-crl-file", "", "certificates of members that were revoked")
	fs.Var(words{&peer.AllowedCNs}, "peer-cert-allowed-cn", "common names, one of which a member's certificate must have")
	fs.Var(words{&peer.AllowedHostnames}, "peer-cert-allowed-hostname", "names, one of which a member's certificate must have")
	fs.BoolVar(&peer.SkipClientSANVerify, "peer-skip-client-san-verification", false, "do not compare a member's address with the names in its certificate")
	fs.BoolVar(&s.AutoPeerTLS, "peer-auto-tls", false, "make a certificate for other members")
	fs.UintVar(&s.CertYears, "self-signed-cert-validity", s.CertYears, "years that certificates made here last")
	fs.Var(words{&s.CipherSuites}, "cipher-suites", "TLS cipher suites (empty: Go's choice)")
	fs.StringVar(&s.MinVersion, "tls-min-version", s.MinVersion, "TLS1.2 or TLS1.3")
	fs.StringVar(&s.MaxVersion, "tls-max-version", s.MaxVersion, "TLS1.2 or TLS1.3 (empty: Go's choice)")
	fs.StringVar(&s.AuthToken, "auth-token", s.AuthToken, "kind and options of tokens of authenticated users")
	fs.UintVar(&s.BcryptCost, "bcrypt-cost", s.BcryptCost, "cost of hashing passwords")
	fs.UintVar(&s.TokenTTL, "auth-token-ttl", s.TokenTTL, "seconds that a token lasts")
}

func (s *Settings) addStorage(fs *flag.FlagSet) {
	fs.StringVar(&s.DataDir, "data-dir", s.DataDir, "directory of the data (empty: NAME.etcd)")
	fs.StringVar(&s.DedicatedWALDir, "wal-dir", s.DedicatedWALDir, "directory of the write-ahead log, if it is to be elsewhere")
	fs.UintVar(&s.MaxSnapFiles, "max-snapshots", s.MaxSnapFiles, "snapshot files to keep (0: all)")
	fs.UintVar(&s.MaxWALFiles, "max-wals", s.MaxWALFiles, "files of the write-ahead log to keep (0: all)")
	fs.Uint64Var(&s.SnapshotCount, "snapshot-count", s.SnapshotCount, "transactions after which the raft log is cut")
	fs.Uint64Var(&s.SnapshotCatchUpEntries, "snapshot-catchup-entries", s.SnapshotCatchUpEntries, "entries to keep in memory for members that lag")
	fs.Int64Var(&s.QuotaBackendBytes, "quota-backend-bytes", s.QuotaBackendBytes, "size at which the database takes no more (0: 2 GiB)")
	fs.StringVar(&s.Freelist, "backend-bbolt-freelist-type", s.Freelist, "how free pages of the database are kept: map or array")
	fs.DurationVar(&s.BackendBatchInterval, "backend-batch-interval", s.BackendBatchInterval, "longest time until changes are committed to the database")
	fs.IntVar(&s.BackendBatchLimit, "backend-batch-limit", s.BackendBatchLimit, "most changes until they are committed to the database")
	fs.StringVar(&s.Retention, "auto-compaction-retention", s.Retention, "history to keep, as a duration (hours without a unit) or a number of revisions (0: all)")
	fs.StringVar(&s.AutoCompactionMode, "auto-compaction-mode", s.AutoCompactionMode, `what --auto-compaction-retention is: "periodic" or "revision"`)
	fs.IntVar(&s.CompactionBatchLimit, "compaction-batch-limit", s.CompactionBatchLimit, "revisions that one step of a compaction removes")
	fs.DurationVar(&s.CompactionSleepInterval, "compaction-sleep-interval", s.CompactionSleepInterval, "time between such steps")
	fs.UintVar(&s.BootstrapDefragThresholdMegabytes, "bootstrap-defrag-threshold-megabytes", 0, "defragment at start if that frees so much (0: never)")
	fs.BoolVar(&s.MemoryMlock, "memory-mlock", false, "keep the database's pages in memory")
	fs.BoolVar(&s.UnsafeNoFsync, "unsafe-no-fsync", false, "do not sync files: data will be lost")
}

func (s *Settings) addRequests(fs *flag.FlagSet) {
	fs.UintVar(&s.MaxTxnOps, "max-txn-ops", s.MaxTxnOps, "operations that a transaction may have")
	fs.UintVar(&s.MaxRequestBytes, "max-request-bytes", s.MaxRequestBytes, "size that a request may have")
	fs.DurationVar(&s.WatchProgressNotifyInterval, "watch-progress-notify-interval", s.WatchProgressNotifyInterval, "time between notes of a watch's progress")
	fs.DurationVar(&s.WarningApplyDuration, "warning-apply-duration", s.WarningApplyDuration, "warn of a change that takes longer to apply")
	fs.DurationVar(&s.WarningUnaryRequestDuration, "warning-unary-request-duration", s.WarningUnaryRequestDuration, "warn of a request that takes longer")
}

func (s *Settings) addChecks(fs *flag.FlagSet) {
	fs.DurationVar(&s.CorruptCheckTime, "corrupt-check-time", s.CorruptCheckTime, "time between comparisons of the members' data (0: none)")
	fs.DurationVar(&s.CompactHashCheckTime, "compact-hash-check-time", s.CompactHashCheckTime, "time between comparisons of the members' compacted data")
	fs.DurationVar(&s.DowngradeCheckTime, "downgrade-check-time", s.DowngradeCheckTime, "time between looks at how a downgrade goes")
}

// olderFlags are names of etcd 3.5 for the flags of 3.6.
var olderFlags = map[string]string{
	"experimental-compact-hash-check-time":              "compact-hash-check-time",
	"experimental-corrupt-check-time":                   "corrupt-check-time",
	"experimental-compaction-batch-limit":               "compaction-batch-limit",
	"experimental-compaction-sleep-interval":            "compaction-sleep-interval",
	"experimental-watch-progress-notify-interval":       "watch-progress-notify-interval",
	"experimental-warning-apply-duration":               "warning-apply-duration",
	"experimental-warning-unary-request-duration":       "warning-unary-request-duration",
	"experimental-bootstrap-defrag-threshold-megabytes": "bootstrap-defrag-threshold-megabytes",
	"experimental-memory-mlock":                         "memory-mlock",
	"experimental-snapshot-catchup-entries":             "snapshot-catchup-entries",
	"experimental-downgrade-check-time":                 "downgrade-check-time",
	"experimental-peer-skip-client-san-verification":    "peer-skip-client-san-verification",
	"experimental-enable-distributed-tracing":           "enable-distributed-tracing",
	"experimental-distributed-tracing-address":          "distributed-tracing-address",
	"experimental-distributed-tracing-service-name":     "distributed-tracing-service-name",
	"experimental-distributed-tracing-instance-id":      "distributed-tracing-instance-id",
	"experimental-distributed-tracing-sampling-rate":    "distributed-tracing-sampling-rate",
}

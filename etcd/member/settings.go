// Package member runs one etcd server and what has to be around it: settings by flags or from a file, listeners for peers and
// clients, TLS, logs. etcd's package embed does the same and cannot be linked without doubling what the linker keeps of
// everything else: docs/decisions/binary-size.md.
package member

import (
	"math"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/pkg/v3/netutil"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3compactor"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3discovery"
	"go.etcd.io/etcd/server/v3/features"
	"golang.org/x/crypto/bcrypt"
)

// DefaultName is the name of a member that was given none.
const DefaultName = "default"

// How a member comes to its cluster: Settings.ClusterState.
const (
	ClusterNew      = "new"
	ClusterExisting = "existing"
)

// Settings are all that can be said about a member, under the names of etcd's flags. Start from Defaults.
type Settings struct {
	// ServerConfig is what the server itself is told. Open derives InitialPeerURLsMap, NewCluster, ElectionTicks,
	// AutoCompactionRetention, BackendFreelistType, ClientCertAuthEnabled, TracerOptions and, if it is nil, Logger.
	config.ServerConfig

	// ListenHTTP takes HTTP away from ListenClient, which then speaks gRPC only.
	ListenPeer, ListenClient, ListenHTTP, ListenMetrics []url.URL

	// ClientTLS is that of ListenClient, ListenHTTP and ListenMetrics; that of ListenPeer is PeerTLSInfo.
	ClientTLS transport.TLSInfo
	// AutoClientTLS and AutoPeerTLS make certificates that sign themselves and last for CertYears.
	AutoClientTLS, AutoPeerTLS bool
	CertYears                  uint
	// CipherSuites, and the versions "TLS1.2" and "TLS1.3"; empty leaves it to Go.
	CipherSuites           []string
	MinVersion, MaxVersion string

	// InitialCluster is "name=url,name=url"; itself alone if it is empty and nothing is to be discovered.
	InitialCluster string
	ClusterState   string
	// DNSCluster is the domain whose SRV records name the initial cluster; DNSService is added to the service's name.
	DNSCluster, DNSService string

	// Alone: there is nobody else to vote or to be waited for. The election timeout may be as short as two ticks, and a new member does not
	// wait for it at all.
	Alone bool
	// ElectionMs is the election timeout in milliseconds: a multiple of TickMs.
	ElectionMs uint
	// Retention is a duration, hours without a unit, or a number of revisions if AutoCompactionMode is "revision".
	Retention string
	// Freelist is "map" or "array".
	Freelist string

	// PingMin is the least time between pings that clients may send; PingEvery and PingTimeout are the server's own (zero: none).
	PingMin, PingEvery, PingTimeout time.Duration

	// Profiling serves /debug/pprof/ to clients.
	Profiling bool
	Log       Log
	Tracing   Tracing
}

// Defaults are etcd's own.
func Defaults() *Settings {
	s := &Settings{
		ListenPeer: localhost("2380"), ListenClient: localhost("2379"),
		CertYears: 1, MinVersion: "TLS1.2", ClusterState: ClusterNew, ElectionMs: 1000, Retention: "0",
		PingMin: 5 * time.Second, PingEvery: 2 * time.Hour, PingTimeout: 20 * time.Second,
		Log:     Log{Logger: "zap", Level: "info", Format: "json", Outputs: []string{outputDefault}, Rotation: defaultRotation},
		Tracing: Tracing{Address: "localhost:4317", Service: "etcd"},
	}
	s.ServerConfig = config.ServerConfig{
		Name: DefaultName, PeerURLs: localhost("2380"), ClientURLs: localhost("2379"), InitialClusterToken: "etcd-cluster",
		TickMs: 100, InitialElectionTickAdvance: true, PreVote: true, StrictReconfigCheck: true,
		SnapshotCount: etcdserver.DefaultSnapshotCount, SnapshotCatchUpEntries: etcdserver.DefaultSnapshotCatchUpEntries,
		MaxSnapFiles: 5, MaxWALFiles: 5, MaxTxnOps: 128, MaxRequestBytes: 3 << 19, MaxConcurrentStreams: math.MaxUint32,
		MaxLearners: membership.DefaultMaxLearners, AutoCompactionMode: v3compactor.ModePeriodic,
		CORS: map[string]struct{}{"*": {}}, HostWhitelist: map[string]struct{}{"*": {}},
		AuthToken: "simple", BcryptCost: uint(bcrypt.DefaultCost), TokenTTL: 300,
		CompactHashCheckTime: time.Minute, DowngradeCheckTime: 5 * time.Second,
		WarningApplyDuration: 100 * time.Millisecond, WarningUnaryRequestDuration: 300 * time.Millisecond,
		EnableGRPCGateway: true, Metrics: "basic", V2Deprecation: config.V2DeprDefault,
		ServerFeatureGate: features.NewDefaultServerFeatureGate(DefaultName, nil), DiscoveryCfg: discoveryDefaults(),
	}
	return s
}

func discoveryDefaults() v3discovery.DiscoveryConfig {
	return v3discovery.DiscoveryConfig{ConfigSpec: clientv3.ConfigSpec{
		DialTimeout: 2 * time.Second, RequestTimeout: 5 * time.Second,
		KeepAliveTime: 2 * time.Second, KeepAliveTimeout: 6 * time.Second,
		Secure: &clientv3.SecureConfig{InsecureTransport: true}, Auth: &clientv3.AuthConfig{},
	}}
}

func localhost(port string) []url.URL { return []url.URL{{Scheme: "http", Host: "localhost:" + port}} }

// Itself is the initial cluster that the member alone makes up.
func (s *Settings) Itself() string {
	name := s.Name
	if name == "" {
		name = DefaultName
	}
	var pairs []string
	for _, peer := range s.PeerURLs {
		pairs = append(pairs, name+"="+peer.String())
	}
	return strings.Join(pairs, ",")
}

// advertiseHost puts the machine's address into URLs to advertise that nobody has chosen, if the member listens everywhere.
func (s *Settings) advertiseHost(peerChosen, clientChosen bool) {
	for _, it := range []struct {
		chosen            bool
		listen, advertise []url.URL
	}{{peerChosen, s.ListenPeer, s.PeerURLs}, {clientChosen, s.ListenClient, s.ClientURLs}} {
		if it.chosen || len(it.listen) == 0 || len(it.advertise) == 0 || it.listen[0].Hostname() != "0.0.0.0" {
			continue
		}
		// A machine without an address is left with localhost.
		if host, err := netutil.GetDefaultHost(); err == nil && host != "" {
			it.advertise[0].Host = host + ":" + it.listen[0].Port()
		}
	}
}

// discovers says if the initial cluster is to be found, not given.
func (s *Settings) discovers() bool {
	return s.DiscoveryURL != "" || s.DNSCluster != "" || len(s.DiscoveryCfg.Endpoints) > 0
}

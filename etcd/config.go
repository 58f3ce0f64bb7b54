package etcd

import (
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/septet-io/septet/etcd/member"
)

// Config says how a member runs. The zero value of each field but DataDir is a good default: one member, reached
// through Server.Client only, without sockets.
type Config struct {
	// DataDir holds the write-ahead log and the database. It is made (mode 0700) if it does not exist.
	DataDir string
	// Name of the member, unique in its cluster; "default" if empty.
	Name string

	// ListenClient are URLs to serve etcd's gRPC API on (https with ClientTLS); none: no socket.
	// AdvertiseClient are how others reach them; ListenClient if empty.
	ListenClient, AdvertiseClient []url.URL
	// ListenHTTP are URLs for /health, /readyz, /livez and /metrics; with ListenClient on the same port if empty.
	ListenMetrics []url.URL
	ClientTLS     TLS

	// ListenPeer are URLs for other members; none: a member that is alone for good.
	ListenPeer, AdvertisePeer []url.URL
	PeerTLS                   TLS
	// InitialCluster is "name=url,name=url"; itself alone if empty. Only the first start of a member reads it.
	InitialCluster string
	// InitialToken keeps clusters apart that by mistake know each other's addresses.
	InitialToken string
	// Join an existing cluster, whose AddMember was called before.
	Join bool

	// Heartbeat and Election: 100 ms and 200 ms for a member without peers, else etcd's 100 ms and 1 s.
	Heartbeat, Election time.Duration
	// SnapshotCount is after how many transactions the raft log is cut; 10,000 if zero.
	SnapshotCount uint64
	// QuotaBytes bounds the database; 8 GiB if zero.
	QuotaBytes int64
	// MaxRequestBytes bounds a transaction; 3 MiB if zero, which is what the API server allows for a request.
	MaxRequestBytes uint
	// CompactAfter removes history older than this; zero leaves it to the API server, as upstream does.
	CompactAfter time.Duration
	// DefragmentAbove reclaims unused space at start when it is more than so many megabytes; 64 if zero.
	DefragmentAbove uint
	// UnsafeNoFsync risks the data for speed: tests only.
	UnsafeNoFsync bool
	// ForceNewCluster starts a cluster of one from a member's data: disaster recovery.
	ForceNewCluster bool
}

// TLS names the files that a listener uses.
type TLS struct {
	CertFile, KeyFile, TrustedCAFile string
	// ClientCertAuth refuses clients without a certificate of TrustedCAFile.
	ClientCertAuth bool
}

func (t TLS) info() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: t.CertFile, KeyFile: t.KeyFile,
		TrustedCAFile: t.TrustedCAFile, ClientCertAuth: t.ClientCertAuth,
	}
}

const (
	defaultSnapshotCount = 10_000
	defaultQuota         = 8 << 30
	// A request to the API server may have 3 MiB; etcd needs a little more for the envelope.
	defaultRequestBytes = 3<<20 + 64<<10
	defaultDefragment   = 64
	// How many entries stay in memory for followers that lag; a member that is alone has none.
	catchUpAlone, catchUpCluster = 100, 5_000
	// A member that is alone has elected itself after one or two ticks, and a new one at once.
	aloneTickMs = 100
	// How long changes that the log has already may wait to be written to the database: each interval wakes the process.
	commitEvery = 300 * time.Millisecond
)

// settings turns the Config into a member's.
func (c Config) settings(log *logBridge) *member.Settings {
	s := member.Defaults()
	s.DataDir, s.Name = c.DataDir, orElse(c.Name, member.DefaultName)
	s.ListenClient, s.ClientURLs = c.ListenClient, orElseURLs(c.AdvertiseClient, c.ListenClient)
	s.ListenMetrics = c.ListenMetrics
	s.ClientTLS, s.PeerTLSInfo = c.ClientTLS.info(), c.PeerTLS.info()
	s.ListenPeer = c.ListenPeer
	if peers := orElseURLs(c.AdvertisePeer, c.ListenPeer); len(peers) > 0 {
		s.PeerURLs = peers
	}
	s.InitialCluster = orElse(c.InitialCluster, s.Itself())
	s.InitialClusterToken = orElse(c.InitialToken, s.InitialClusterToken)
	if c.Join {
		s.ClusterState = member.ClusterExisting
	}
	c.timing(s)
	s.SnapshotCount = orElse(c.SnapshotCount, defaultSnapshotCount)
	s.QuotaBackendBytes = orElse(c.QuotaBytes, defaultQuota)
	s.MaxRequestBytes = orElse(c.MaxRequestBytes, uint(defaultRequestBytes))
	if c.CompactAfter > 0 {
		s.Retention = c.CompactAfter.String()
	}
	s.BackendBatchInterval = commitEvery
	s.BootstrapDefragThresholdMegabytes = orElse(c.DefragmentAbove, defaultDefragment)
	s.UnsafeNoFsync, s.ForceNewCluster = c.UnsafeNoFsync, c.ForceNewCluster
	// The gateway would load a second REST stack; nothing of Kubernetes uses it.
	s.EnableGRPCGateway = false
	s.Logger = log.logger()
	return s
}

// timing: a member without peers waits for its election at each start but the first. Shorter ticks would shorten that, but they are most of
// what wakes an idle process.
func (c Config) timing(s *member.Settings) {
	s.SnapshotCatchUpEntries = catchUpCluster
	if c.alone() {
		s.Alone, s.TickMs, s.ElectionMs = true, aloneTickMs, 2*aloneTickMs
		s.SnapshotCatchUpEntries = catchUpAlone
	}
	if c.Heartbeat > 0 {
		s.TickMs = uint(c.Heartbeat / time.Millisecond)
	}
	if c.Election > 0 {
		s.ElectionMs = uint(c.Election / time.Millisecond)
	}
}

func (c Config) alone() bool {
	return len(c.ListenPeer) == 0 && !c.Join && !strings.Contains(c.InitialCluster, ",")
}

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func orElseURLs(value, otherwise []url.URL) []url.URL {
	if len(value) > 0 {
		return value
	}
	return otherwise
}

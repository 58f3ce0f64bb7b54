package member

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/srv"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

// derive fills in what the server is told in other terms than the settings.
func (s *Settings) derive() (err error) {
	if s.AutoCompactionRetention, err = s.retention(); err != nil {
		return err
	}
	s.BackendFreelistType = bolt.FreelistMapType
	if s.Freelist == "array" {
		s.BackendFreelistType = bolt.FreelistArrayType
	}
	s.NewCluster = s.ClusterState == ClusterNew
	s.ElectionTicks = int(s.ElectionMs / s.TickMs)
	if s.ServerFeatureGate.Enabled(features.SetMemberLocalAddr) {
		s.ExperimentalLocalAddress = localAddress(s.PeerURLs)
		s.PeerTLSInfo.LocalAddr = s.ExperimentalLocalAddress
	}
	return nil
}

// localAddress is the first address of its own that a member is known by, to dial other members from.
func localAddress(peers types.URLs) string {
	for _, peer := range peers {
		if address, err := netip.ParseAddr(peer.Hostname()); err == nil && !address.IsLoopback() && !address.IsUnspecified() {
			return address.String()
		}
	}
	return ""
}

// initialized says if the member has run before: then its log tells the cluster, and nothing is to be found.
func (s *Settings) initialized() bool {
	dir := s.DedicatedWALDir
	if dir == "" {
		dir = filepath.Join(s.DataDir, "member", "wal")
	}
	return wal.Exist(dir)
}

// found finds the members that begin the cluster.
func (s *Settings) found() (err error) {
	switch {
	case s.DiscoveryURL != "":
		s.InitialPeerURLsMap, s.InitialClusterToken = types.URLsMap{s.Name: s.PeerURLs}, s.DiscoveryURL
	case len(s.DiscoveryCfg.Endpoints) > 0:
		s.InitialPeerURLsMap, s.InitialClusterToken = types.URLsMap{s.Name: s.PeerURLs}, s.DiscoveryCfg.Token
	case s.DNSCluster != "":
		s.InitialPeerURLsMap, err = s.lookUp()
	default:
		s.InitialPeerURLsMap, err = types.NewURLsMap(s.InitialCluster)
	}
	if err != nil {
		return fmt.Errorf("initial cluster: %w", err)
	}
	return nil
}

// lookUp reads the SRV records, of members with TLS and of those without.
func (s *Settings) lookUp() (types.URLsMap, error) {
	suffix := ""
	if s.DNSService != "" {
		suffix = "-" + s.DNSService
	}
	var pairs []string
	var problems []error
	for _, kind := range []struct{ scheme, service string }{{"https", "etcd-server-ssl"}, {"http", "etcd-server"}} {
		found, err := srv.GetCluster(kind.scheme, kind.service+suffix, s.Name, s.DNSCluster, s.PeerURLs)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		pairs = append(pairs, found...)
	}
	if len(pairs) == 0 {
		return nil, errors.Join(problems...)
	}
	all := strings.Join(pairs, ",")
	if strings.Contains(all, "https://") && s.PeerTLSInfo.TrustedCAFile == "" {
		s.PeerTLSInfo.ServerName = s.DNSCluster
	}
	urls, err := types.NewURLsMap(all)
	if err != nil {
		return nil, err
	}
	if _, ok := urls[s.Name]; !ok {
		return nil, fmt.Errorf("member %q is not in the SRV records of %s", s.Name, s.DNSCluster)
	}
	return urls, nil
}

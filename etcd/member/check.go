package member

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3compactor"
	"go.etcd.io/etcd/server/v3/features"
)

// maxElectionMs is the longest election timeout: beyond it a cluster is without a leader for too long.
const maxElectionMs = 50_000

// Check says all that is wrong, by the names of etcd's flags, in one line.
func (s *Settings) Check() error {
	_, _, versions := s.versions()
	_, suites := tlsutil.GetCipherSuites(s.CipherSuites)
	_, retention := s.retention()
	problems := slices.Concat(
		binds("listen-peer-urls", s.ListenPeer), binds("listen-client-urls", s.ListenClient),
		binds("listen-client-http-urls", s.ListenHTTP), binds("listen-metrics-urls", s.ListenMetrics),
		hasHosts("initial-advertise-peer-urls", s.PeerURLs), hasHosts("advertise-client-urls", s.ClientURLs),
		s.needCertificate(),
		[]error{s.Log.check(), s.checkBeginning(), s.checkTiming(), retention, versions, suites, s.checkGates(), s.Tracing.check()},
	)
	var texts []string
	for _, problem := range problems {
		if problem != nil {
			texts = append(texts, problem.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// binds: an address to listen on is an IP address or localhost, not a name that may change.
func binds(flag string, urls []url.URL) (problems []error) {
	for _, u := range urls {
		if u.Scheme == "unix" || u.Scheme == "unixs" {
			continue
		}
		host, _, err := net.SplitHostPort(u.Host)
		if err == nil && host != "localhost" && net.ParseIP(host) == nil {
			err = errors.New("an IP address is needed to listen on")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s %s: %w", flag, u.String(), err))
		}
	}
	return problems
}

func hasHosts(flag string, urls []url.URL) (problems []error) {
	for _, u := range urls {
		if u.Scheme == "unix" || u.Scheme == "unixs" {
			continue
		}
		host, _, err := net.SplitHostPort(u.Host)
		if err == nil && host == "" {
			err = errors.New("the host is empty")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("--%s %s: %w", flag, u.String(), err))
		}
	}
	return problems
}

// needCertificate: https has to have one.
func (s *Settings) needCertificate() (problems []error) {
	if !s.ClientTLS.Empty() || s.AutoClientTLS {
		return nil
	}
	for _, u := range slices.Concat(s.ListenClient, s.ListenHTTP, s.ListenMetrics) {
		if secure(u) {
			problems = append(problems, fmt.Errorf("%s needs --cert-file and --key-file", u.String()))
		}
	}
	return problems
}

// checkBeginning: a cluster is told or found, in one way.
func (s *Settings) checkBeginning() error {
	ways := 0
	for _, given := range []bool{s.DiscoveryURL != "", s.InitialCluster != "", s.DNSCluster != "", len(s.DiscoveryCfg.Endpoints) > 0} {
		if given {
			ways++
		}
	}
	d := s.DiscoveryCfg
	switch {
	case ways > 1:
		return errors.New("only one of --initial-cluster, --discovery, --discovery-endpoints and --discovery-srv can be given")
	case s.ClusterState != ClusterNew && s.ClusterState != ClusterExisting:
		return fmt.Errorf("--initial-cluster-state is %q; it can be %s or %s", s.ClusterState, ClusterNew, ClusterExisting)
	case s.DiscoveryProxy != "" && (len(d.Endpoints) > 0 || d.Token != "" || d.Secure.Cert != "" || d.Secure.Key != "" || d.Secure.Cacert != "" || d.Auth.Username != "" || d.Auth.Password != ""):
		return errors.New("--discovery-proxy is of discovery by API v2; settings of API v3 are given too")
	case (d.Token != "") != (len(d.Endpoints) > 0):
		return errors.New("--discovery-token and --discovery-endpoints have to be given together")
	}
	return nil
}

func (s *Settings) checkTiming() error {
	switch {
	case s.TickMs == 0:
		return errors.New("--heartbeat-interval must be above 0")
	case 5*s.TickMs > s.ElectionMs && !(s.Alone && 2*s.TickMs <= s.ElectionMs):
		return fmt.Errorf("--election-timeout (%d ms) must be at least five times --heartbeat-interval (%d ms)", s.ElectionMs, s.TickMs)
	case s.ElectionMs > maxElectionMs:
		return fmt.Errorf("--election-timeout (%d ms) must not be above %d ms", s.ElectionMs, maxElectionMs)
	case s.CompactHashCheckTime <= 0:
		return errors.New("--compact-hash-check-time must be above 0")
	}
	return nil
}

// retention is what Retention means to the server.
func (s *Settings) retention() (time.Duration, error) {
	count, err := strconv.ParseUint(s.Retention, 10, 31)
	switch {
	case s.AutoCompactionMode == v3compactor.ModeRevision && err == nil:
		return time.Duration(count), nil // the server takes it as a number
	case s.AutoCompactionMode == v3compactor.ModePeriodic && err == nil:
		return time.Duration(count) * time.Hour, nil
	case s.AutoCompactionMode != v3compactor.ModeRevision && s.AutoCompactionMode != v3compactor.ModePeriodic:
		return 0, fmt.Errorf("--auto-compaction-mode is %q; it can be %s or %s", s.AutoCompactionMode, v3compactor.ModePeriodic, v3compactor.ModeRevision)
	}
	retention, err := time.ParseDuration(s.Retention)
	if err != nil {
		return 0, fmt.Errorf("--auto-compaction-retention: %w", err)
	}
	return retention, nil
}

func (s *Settings) checkGates() error {
	if s.ServerFeatureGate.Enabled(features.LeaseCheckpointPersist) && !s.ServerFeatureGate.Enabled(features.LeaseCheckpoint) {
		return errors.New("the feature gate LeaseCheckpointPersist needs LeaseCheckpoint")
	}
	return nil
}

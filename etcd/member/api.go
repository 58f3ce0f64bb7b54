package member

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/pkg/v3/httputil"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// api is what clients find behind every door.
type api struct {
	server *etcdserver.EtcdServer
	tls    *transport.TLSInfo
	// split: HTTP has doors of its own.
	split   bool
	options []grpc.ServerOption
	pages   *http.ServeMux
}

func (m *Member) newAPI(gateway http.Handler) *api {
	s := m.settings
	a := &api{server: m.Server, tls: &s.ClientTLS, split: len(s.ListenHTTP) > 0, pages: http.NewServeMux()}
	etcdhttp.HandleDebug(a.pages)
	etcdhttp.HandleVersion(a.pages, m.Server)
	etcdhttp.HandleMetrics(a.pages)
	etcdhttp.HandleHealth(s.Logger, a.pages, m.Server)
	if gateway != nil {
		a.pages.Handle("/v3/", gateway)
		// As it was called before etcd 3.4.
		a.pages.HandleFunc("/v3beta/", func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/v3beta/", "/v3/", 1)
			gateway.ServeHTTP(w, r)
		})
	}
	if s.Profiling || s.Log.Level == "debug" {
		a.pages.HandleFunc("/debug/pprof/", pprof.Index)
		a.pages.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		a.pages.HandleFunc("/debug/pprof/profile", pprof.Profile)
		a.pages.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		a.pages.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	if s.PingMin > 0 {
		a.options = append(a.options, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: s.PingMin}))
	}
	if s.PingEvery > 0 && s.PingTimeout > 0 {
		a.options = append(a.options, grpc.KeepaliveParams(keepalive.ServerParameters{Time: s.PingEvery, Timeout: s.PingTimeout}))
	}
	return a
}

// grpcServer has etcd's services, and the locks and elections that are made of them.
func (a *api) grpcServer(config *tls.Config) *grpc.Server {
	server := v3rpc.Server(a.server, config, nil, a.options...)
	client := v3client.New(a.server)
	v3electionpb.RegisterElectionServer(server, v3election.NewElectionServer(client))
	v3lockpb.RegisterLockServer(server, v3lock.NewLockServer(client))
	return server
}

// httpServer serves pages, and passes gRPC on if there is a server for it.
func (a *api) httpServer(config *tls.Config, grpc *grpc.Server) (*http.Server, error) {
	server := &http.Server{TLSConfig: config, ErrorLog: silent}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.admit(w, r) {
			return
		}
		if grpc != nil && r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			grpc.ServeHTTP(w, r)
			return
		}
		a.pages.ServeHTTP(w, r)
	})
	// It fails for cipher suites that HTTP/2 forbids, and so gRPC.
	return server, http2.ConfigureServer(server, &http2.Server{MaxConcurrentStreams: a.server.Cfg.MaxConcurrentStreams})
}

// admit refuses requests for other hosts than the allowed ones, which is how a web page would reach a member that has no TLS (DNS
// rebinding), answers questions of browsers, and names the origins that may read the answer.
func (a *api) admit(w http.ResponseWriter, r *http.Request) bool {
	host := httputil.GetHostname(r)
	if r.TLS == nil && !a.server.AccessController.IsHostWhitelisted(host) {
		http.Error(w, fmt.Sprintf("etcd does not serve the host %q without TLS; --host-whitelist allows it", host), http.StatusMisdirectedRequest)
		return false
	}
	if origin := r.Header.Get("Origin"); a.server.AccessController.OriginAllowed("*") {
		allow(w, "*")
	} else if a.server.OriginAllowed(origin) {
		allow(w, origin)
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return false
	}
	return true
}

func allow(w http.ResponseWriter, origin string) {
	w.Header().Add("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE")
	w.Header().Add("Access-Control-Allow-Origin", origin)
	w.Header().Add("Access-Control-Allow-Headers", "accept, content-type, authorization")
}

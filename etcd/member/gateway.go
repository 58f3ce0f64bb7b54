package member

import (
	"context"
	"fmt"
	"math"
	"net/http"

	gateway "github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/tmc/grpc-websocket-proxy/wsproxy"
	services "go.etcd.io/etcd/api/v3/etcdserverpb/gw"
	"go.etcd.io/etcd/client/v3/credentials"
	elections "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb/gw"
	locks "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb/gw"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
)

// newGateway is the API as JSON over HTTP, streams over WebSockets: a client of the member's own first gRPC door. Nil if it is not
// wanted, or nobody could reach it.
func (m *Member) newGateway() (http.Handler, error) {
	door := m.grpcDoor()
	if !m.settings.EnableGRPCGateway || door == nil {
		return nil, nil
	}
	conn, err := m.dial(door)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	mux := gateway.NewServeMux(gateway.WithMarshalerOption(gateway.MIMEWildcard, &gateway.HTTPBodyMarshaler{Marshaler: &gateway.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true},
	}}))
	for _, register := range []func(context.Context, *gateway.ServeMux, *grpc.ClientConn) error{
		services.RegisterKVHandler, services.RegisterWatchHandler, services.RegisterLeaseHandler, services.RegisterClusterHandler,
		services.RegisterMaintenanceHandler, services.RegisterAuthHandler, locks.RegisterLockHandler, elections.RegisterElectionHandler,
	} {
		if err := register(ctx, mux, conn); err != nil {
			cancel()
			conn.Close()
			return nil, fmt.Errorf("gateway: %w", err)
		}
	}
	m.serving.Go(func() {
		<-m.stopping
		cancel()
		conn.Close()
	})
	proxy := wsproxy.WebsocketProxy(mux, wsproxy.WithMaxRespBodyBufferSize(math.MaxInt32), wsproxy.WithLogger(proxyLog{m.settings.Logger}),
		wsproxy.WithRequestMutator(func(_, out *http.Request) *http.Request {
			out.Method = http.MethodPost // which streams are
			return out
		}))
	return m.refuseNames(proxy), nil
}

// refuseNames: with users and certificates of clients, the gateway would act under its own name, not its client's.
func (m *Member) refuseNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && m.settings.ClientCertAuthEnabled && m.Server.AuthStore().IsAuthEnabled() {
			for _, chain := range r.TLS.VerifiedChains {
				if len(chain) > 0 && chain[0].Subject.CommonName != "" {
					http.Error(w, "the gateway cannot act under the common name of your certificate", http.StatusBadRequest)
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Member) grpcDoor() *clientDoor {
	for _, door := range m.clients {
		if !door.httpOnly {
			return door
		}
	}
	return nil
}

func (m *Member) dial(door *clientDoor) (*grpc.ClientConn, error) {
	// The address as it came to be; the one asked for may have port 0.
	address := door.listener.Addr().String()
	if network := door.listener.Addr().Network(); network == "unix" {
		address = "unix:" + address
	} else {
		address = "passthrough:///" + address
	}
	security := insecure.NewCredentials()
	if door.secure && !door.plain {
		config, err := m.settings.ClientTLS.ServerConfig()
		if err != nil {
			return nil, err
		}
		config = config.Clone()
		config.InsecureSkipVerify = true // it is this very process
		security = credentials.NewTransportCredential(config)
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(security), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
}

// proxyLog gives the WebSocket proxy its log.
type proxyLog struct{ log *zap.Logger }

func (l proxyLog) Warnln(words ...any)  { l.log.Warn(fmt.Sprint(words...)) }
func (l proxyLog) Debugln(words ...any) { l.log.Debug(fmt.Sprint(words...)) }

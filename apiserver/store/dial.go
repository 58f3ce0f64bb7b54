package store

import (
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Remote says how to reach an etcd outside of the process: the API server's --etcd-servers, --etcd-cafile,
// --etcd-certfile and --etcd-keyfile.
type Remote struct {
	// Endpoints are URLs of members.
	Endpoints []string
	// CAFile verifies the members; CertFile and KeyFile are ours, read again when they change. Empty: no TLS.
	CAFile, CertFile, KeyFile string
}

// As upstream has them: a member that is gone is noticed in 30 + 10 seconds, and tried again within a few.
const (
	dialTimeout      = 20 * time.Second
	keepAlive        = 30 * time.Second
	keepAliveTimeout = 10 * time.Second
	reconnectMax     = 3 * time.Second
	// A page of large objects may well be above gRPC's 4 MB.
	receiveMax = 1 << 30
	sendMax    = 16 << 20
)

// Dial makes a client. It does not wait for a connection.
func Dial(r Remote) (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints:   r.Endpoints,
		DialTimeout: dialTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAliveTimeout,
		MaxCallRecvMsgSize: receiveMax, MaxCallSendMsgSize: sendMax,
		Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMax},
		})},
	}
	if r.CAFile != "" || r.CertFile != "" {
		tls, err := transport.TLSInfo{TrustedCAFile: r.CAFile, CertFile: r.CertFile, KeyFile: r.KeyFile}.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("etcd client certificates: %w", err)
		}
		config.TLS = tls
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	return client, nil
}

package cri

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// maxMessage bounds one gRPC answer. Lists of a few thousand containers stay
// well below it.
const maxMessage = 16 << 20

// Remote is a Runtime behind a socket. Make it with Dial.
type Remote struct {
	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	// timeout bounds every call that has no bound of its own.
	timeout time.Duration
	conns   []*grpc.ClientConn
}

var _ Runtime = (*Remote)(nil)

// Dial prepares a client for the runtime at endpoint ("unix:///path", or a bare
// path), with images served at imageEndpoint or, if that is empty, at endpoint
// too. It does not wait for the runtime to be there: a call made before fails
// with codes.Unavailable, and the connection comes back by itself after the
// runtime restarts. timeout is KubeletConfiguration's runtimeRequestTimeout.
func Dial(endpoint, imageEndpoint string, timeout time.Duration) (*Remote, error) {
	conn, err := dial(endpoint)
	if err != nil {
		return nil, err
	}
	r := &Remote{runtime: runtimeapi.NewRuntimeServiceClient(conn), timeout: timeout, conns: []*grpc.ClientConn{conn}}
	imageConn := conn
	if imageEndpoint != "" && imageEndpoint != endpoint {
		if imageConn, err = dial(imageEndpoint); err != nil {
			conn.Close()
			return nil, err
		}
		r.conns = append(r.conns, imageConn)
	}
	r.images = runtimeapi.NewImageServiceClient(imageConn)
	return r, nil
}

func dial(endpoint string) (*grpc.ClientConn, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	if !strings.HasPrefix(endpoint, "unix://") {
		return nil, fmt.Errorf("container runtime endpoint %q: only unix:// sockets are supported", endpoint)
	}
	// A runtime that restarts is back within a second; waiting longer than that
	// between attempts would be the larger part of the outage.
	retry := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}
	conn, err := grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: 3 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("container runtime endpoint %q: %w", endpoint, err)
	}
	return conn, nil
}

// Close ends the connections; calls in progress fail with codes.Canceled.
func (r *Remote) Close() error {
	var first error
	for _, c := range r.conns {
		if err := c.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (r *Remote) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, r.timeout)
}

// Version implements Runtime.
func (r *Remote) Version(ctx context.Context) (*runtimeapi.VersionResponse, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.runtime.Version(ctx, &runtimeapi.VersionRequest{Version: "v1"})
}

// Status implements Runtime.
func (r *Remote) Status(ctx context.Context, verbose bool) (*runtimeapi.StatusResponse, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.runtime.Status(ctx, &runtimeapi.StatusRequest{Verbose: verbose})
}

// RuntimeConfig implements Runtime.
func (r *Remote) RuntimeConfig(ctx context.Context) (*runtimeapi.RuntimeConfigResponse, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	return r.runtime.RuntimeConfig(ctx, &runtimeapi.RuntimeConfigRequest{})
}

// UpdatePodCIDR implements Runtime.
func (r *Remote) UpdatePodCIDR(ctx context.Context, podCIDR string) error {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	_, err := r.runtime.UpdateRuntimeConfig(ctx, &runtimeapi.UpdateRuntimeConfigRequest{
		RuntimeConfig: &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: podCIDR}},
	})
	return err
}

// Events implements Runtime.
func (r *Remote) Events(ctx context.Context, opened func(), sink func(*runtimeapi.ContainerEventResponse)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := r.runtime.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if opened != nil {
		opened()
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		sink(event)
	}
}

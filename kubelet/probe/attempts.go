package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/septet-io/septet/kubelet/cri"
)

// execute runs a command in a container: exit code 0 is success.
func execute(ctx context.Context, streams cri.Streams, id string, command []string, timeout time.Duration) (Result, string, error) {
	resp, err := streams.ExecSync(ctx, id, command, timeout)
	if status.Code(err) == codes.DeadlineExceeded {
		return Failure, fmt.Sprintf("command timed out: %q timed out after %v", command, timeout), nil
	}
	if err != nil {
		return Unknown, "", err
	}
	output := string(resp.GetStdout()) + string(resp.GetStderr())
	if len(output) > maxOutput {
		output = output[:maxOutput]
	}
	if resp.GetExitCode() != 0 {
		return Failure, output, nil
	}
	return Success, output, nil
}

// dialer does not leave thousands of sockets in TIME_WAIT behind.
func dialer(timeout time.Duration) *net.Dialer { return &net.Dialer{Timeout: timeout} }

func tcp(ctx context.Context, action *v1.TCPSocketAction, c *v1.Container, ip string, timeout time.Duration) (Result, string, error) {
	port, err := Port(action.Port, c)
	if err != nil {
		return Unknown, "", err
	}
	host := action.Host
	if host == "" {
		host = ip
	}
	conn, err := dialer(timeout).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return Failure, err.Error(), nil
	}
	if t, ok := conn.(*net.TCPConn); ok {
		// Reset instead of a full close: the kernel then forgets the socket at once.
		_ = t.SetLinger(0)
	}
	conn.Close()
	return Success, "", nil
}

// healthCheck asks a gRPC server's health service (grpc.health.v1).
func healthCheck(ctx context.Context, action *v1.GRPCAction, ip string, timeout time.Duration) (Result, string, error) {
	service := ""
	if action.Service != nil {
		service = *action.Service
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := net.JoinHostPort(ip, strconv.Itoa(int(action.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(UserAgent))
	if err != nil {
		return Unknown, "", err
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return Failure, fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message()), nil
	case codes.DeadlineExceeded:
		return Failure, fmt.Sprintf("timeout: health rpc did not complete within %v", timeout), nil
	case codes.Unavailable:
		return Failure, fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, timeout, status.Convert(err).Message()), nil
	default:
		return Failure, fmt.Sprintf("error: health rpc probe failed: %+v", err), nil
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return Failure, fmt.Sprintf("service unhealthy (responded with %q)", s), nil
	}
	return Success, "service healthy", nil
}

// Port resolves the number or name of a container's port.
func Port(param intstr.IntOrString, c *v1.Container) (int, error) {
	port := param.IntValue()
	if param.Type == intstr.String {
		for _, p := range c.Ports {
			if p.Name == param.StrVal {
				port = int(p.ContainerPort)
			}
		}
	}
	if port <= 0 || port > 65535 {
		return 0, fmt.Errorf("invalid port number: %v", param.String())
	}
	return port, nil
}

// Unverified is for probes and hooks: they find out whether a server answers, not
// who it is.
func Unverified() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

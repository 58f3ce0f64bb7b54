package containerd

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
)

// readiness is the receiving end of sd_notify(3): a datagram READY=1 says that a service has started. It spares us from
// knocking at the socket until somebody answers.
type readiness struct {
	path string
	conn *net.UnixConn
}

func listenReady(path string) (*readiness, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return &readiness{path: path, conn: conn}, nil
}

// wait returns nil when the service is ready, or an error when it or ctx has ended before.
func (r *readiness) wait(ctx context.Context, ended <-chan struct{}) error {
	said := make(chan error, 1)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := r.conn.Read(buffer)
			if err != nil || strings.Contains(string(buffer[:n]), "READY=1") {
				said <- err
				return
			}
		}
	}()
	select {
	case err := <-said:
		return err
	case <-ended:
		return errors.New("it ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *readiness) close() {
	r.conn.Close()
	os.Remove(r.path)
}

package etcd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/septet-io/septet/daemon"
)

// SaveSnapshot writes the whole database of a member at one revision to a file, in the form that etcdctl saves and etcdutl
// restores. The file appears complete or not at all.
func SaveSnapshot(ctx context.Context, remote *clientv3.Client, file string) error {
	return writeWhole(file, func(out io.Writer) error {
		reader, err := remote.Snapshot(ctx)
		if err != nil {
			return err
		}
		defer reader.Close()
		size, err := io.Copy(out, reader)
		if err == nil && !hasSum(size) {
			err = errors.New("the stream ended early")
		}
		return err
	})
}

// SaveSnapshot is the same for a member in this process.
func (s *Server) SaveSnapshot(file string) error {
	return writeWhole(file, func(out io.Writer) error {
		snapshot := s.member.Server.Backend().Snapshot()
		defer snapshot.Close()
		hash := sha256.New()
		if _, err := snapshot.WriteTo(io.MultiWriter(out, hash)); err != nil {
			return err
		}
		_, err := out.Write(hash.Sum(nil))
		return err
	})
}

func writeWhole(file string, write func(io.Writer) error) error {
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("etcd snapshot: %w", err)
	}
	defer os.Remove(part)
	err = write(out)
	if err == nil {
		err = out.Sync()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return fmt.Errorf("etcd snapshot: %w", err)
	}
	return nil
}

// hasSum: a database consists of pages of 512 bytes at least, so what is over is the checksum behind it.
func hasSum(size int64) bool { return size%512 == sha256.Size }

// snapshotCommand has etcdctl's and etcdutl's flag names.
func snapshotCommand() *cobra.Command {
	cmd := daemon.Quiet(&cobra.Command{Use: "snapshot", Short: "Save and restore the whole database"})
	cmd.AddCommand(saveCommand(), restoreCommand())
	return cmd
}

func saveCommand() *cobra.Command {
	var endpoints []string
	var tls transport.TLSInfo
	cmd := daemon.Quiet(&cobra.Command{Use: "save FILE", Short: "Save a snapshot of a running member", Args: oneFile})
	flags := cmd.Flags()
	flags.StringSliceVar(&endpoints, "endpoints", []string{"127.0.0.1:2379"}, "where the member serves")
	flags.StringVar(&tls.TrustedCAFile, "cacert", "", "verify the member by this authority")
	flags.StringVar(&tls.CertFile, "cert", "", "certificate to show")
	flags.StringVar(&tls.KeyFile, "key", "", "the certificate's key")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		config := clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
		if tls.TrustedCAFile != "" || tls.CertFile != "" {
			var err error
			if config.TLS, err = tls.ClientConfig(); err != nil {
				return err
			}
		}
		client, err := clientv3.New(config)
		if err != nil {
			return err
		}
		defer client.Close()
		return SaveSnapshot(cmd.Context(), client, args[0])
	}
	return cmd
}

func restoreCommand() *cobra.Command {
	var r Restore
	var peers []string
	cmd := daemon.Quiet(&cobra.Command{Use: "restore FILE", Short: "Make a new member's data directory from a snapshot", Args: oneFile})
	flags := cmd.Flags()
	flags.StringVar(&r.DataDir, "data-dir", "", "directory to make; it must not exist")
	flags.StringVar(&r.Name, "name", "default", "name of the member")
	flags.StringVar(&r.InitialCluster, "initial-cluster", "", "all members of the new cluster; each restores the same snapshot")
	flags.StringVar(&r.InitialToken, "initial-cluster-token", "etcd-cluster", "token of the new cluster")
	flags.StringSliceVar(&peers, "initial-advertise-peer-urls", []string{"http://localhost:2380"}, "this member's peer URLs")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		r.File, r.PeerURLs = args[0], peers
		return r.Run()
	}
	return cmd
}

func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return daemon.UsageError("one FILE is needed, %d arguments were given", len(args))
	}
	return nil
}

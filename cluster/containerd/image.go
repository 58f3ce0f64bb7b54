package containerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/cluster/carried"
)

// ImportImage puts the images of an archive into the node's store and returns their names. The archive is an OCI layout
// (with an io.containerd.image.name annotation) or what `docker save` writes, plain or compressed. The images can be used
// by pods when it returns.
func (r *Runtime) ImportImage(ctx context.Context, archive string) ([]string, error) {
	return r.importImage(ctx, archive)
}

// importImage runs the carried containerd's own subcommand: CRI knows no import, and containerd's client would be linked
// into every septet process.
func (r *Runtime) importImage(ctx context.Context, archive string, flags ...string) ([]string, error) {
	args := append([]string{"--address", r.config.socket(), "image", "import"}, flags...)
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, carried.Containerd), append(args, archive)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("containerd: importing %s: %w: %s", archive, err, strings.TrimSpace(problems.String()))
	}
	var names []string
	if err := json.Unmarshal(out.Bytes(), &names); err != nil {
		return nil, fmt.Errorf("containerd: importing %s: %w", archive, err)
	}
	for _, name := range names {
		if err := r.awaitImage(ctx, name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// awaitImage returns when CRI has seen an image that is in the store; it learns of it by an event, within milliseconds.
func (r *Runtime) awaitImage(ctx context.Context, name string) error {
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		present, err := r.hasImage(ctx, name)
		if err != nil || present {
			return err
		}
		if pause > 10*time.Second {
			return fmt.Errorf("containerd: the imported image %s did not appear in CRI", name)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (r *Runtime) hasImage(ctx context.Context, name string) (present bool, err error) {
	err = withCRI(r.config, func(conn *grpc.ClientConn) error {
		answer, err := runtimeapi.NewImageServiceClient(conn).ImageStatus(ctx, &runtimeapi.ImageStatusRequest{
			Image: &runtimeapi.ImageSpec{Image: name},
		})
		present = answer.GetImage() != nil
		return err
	})
	if err != nil {
		err = fmt.Errorf("containerd: looking for the image %s: %w", name, err)
	}
	return present, err
}

// answers asks CRI for its version, and takes five seconds of silence for a no.
func (r *Runtime) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return withCRI(r.config, func(conn *grpc.ClientConn) error {
		answer, err := runtimeapi.NewRuntimeServiceClient(conn).Version(ctx, &runtimeapi.VersionRequest{})
		if err == nil && answer.RuntimeName != "containerd" {
			err = errors.New("not containerd: " + answer.RuntimeName)
		}
		return err
	})
}

// withCRI lends a connection to the node's CRI socket.
func withCRI(c Config, f func(*grpc.ClientConn) error) error {
	conn, err := grpc.NewClient("unix://"+c.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(conn)
}

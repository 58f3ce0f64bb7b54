package containerd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/cluster/carried"
)

// testConfig is a node of its own for a test, purged at the test's end. The test is skipped where no runtime can run.
func testConfig(t testing.TB) Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("must be root to run containers")
	}
	if _, err := carried.Digest(carried.Containerd); errors.Is(err, carried.ErrMissing) {
		t.Skip(err)
	}
	var name [4]byte
	rand.Read(name[:])
	// A name as long as a host's may be: socket paths are short.
	config := Config{NodeName: "test-" + hex.EncodeToString(name[:]) + ".compute.internal", DataDir: t.TempDir()}
	config.NodeName += strings.Repeat("x", 63-len(config.NodeName))
	config.CgroupParent = "/septet-test/" + config.NodeName
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := Purge(ctx, config); err != nil {
			t.Errorf("purging: %v", err)
		}
	})
	return config
}

// start starts a runtime that the test's end purges.
func start(t testing.TB, config Config) *Runtime {
	t.Helper()
	r, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// cri is a CRI client for tests.
type cri struct {
	runtimeapi.RuntimeServiceClient
	images runtimeapi.ImageServiceClient
}

func dial(t testing.TB, r *Runtime) cri {
	t.Helper()
	conn, err := grpc.NewClient(r.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return cri{runtimeapi.NewRuntimeServiceClient(conn), runtimeapi.NewImageServiceClient(conn)}
}

package etcd

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func freeURL(t *testing.T) url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// TestCommandAsTestEnvironmentsStartIt uses the flags and the health check of controller-runtime's envtest.
func TestCommandAsTestEnvironmentsStartIt(t *testing.T) {
	t.Parallel()
	serving := freeURL(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := Command()
	cmd.SetArgs([]string{
		"--advertise-client-urls=" + serving.String(), "--listen-client-urls=" + serving.String(),
		"--listen-peer-urls=http://localhost:0", "--data-dir=" + filepath.Join(t.TempDir(), "data"), "--unsafe-no-fsync=true",
	})
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	health := serving.JoinPath("/health").String()
	for body := ""; !strings.Contains(body, `"health":"true"`); {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if response, err := http.Get(health); err == nil {
			data, _ := io.ReadAll(response.Body)
			response.Body.Close()
			body = string(data)
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{serving.String()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(ctx, "a", "1"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	save := Command()
	save.SetArgs([]string{"snapshot", "save", file, "--endpoints", serving.Host})
	if err := save.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	restore := Command()
	restore.SetArgs([]string{"snapshot", "restore", file, "--data-dir", filepath.Join(t.TempDir(), "new")})
	if err := restore.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestCommandSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--no-such-flag"}, "unknown flag: --no-such-flag"},
		{[]string{"word"}, "word"},
		{[]string{"--listen-client-urls=http://127.0.0.1:0"}, "--advertise-client-urls is required"},
		{[]string{"--listen-client-urls=nonsense"}, "invalid argument"},
		{[]string{"snapshot", "restore", "/nowhere"}, "must be given and not exist"},
	} {
		cmd := Command()
		cmd.SetArgs(test.args)
		cmd.SetOut(new(bytes.Buffer))
		err := cmd.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v; want one line with %q", test.args, err, test.want)
		}
	}
}

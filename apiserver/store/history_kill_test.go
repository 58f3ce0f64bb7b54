package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/etcd"
)

// The test binary is also the etcd that the tests kill: with these in its environment it runs one member.
const (
	childDir    = "STORE_TEST_ETCD_DIR"
	childListen = "STORE_TEST_ETCD_LISTEN"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(runChild(dir, os.Getenv(childListen)))
	}
	os.Exit(m.Run())
}

func runChild(dir, listen string) int {
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
		stop()
	}()
	u, err := url.Parse(listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	server, err := etcd.Start(ctx, etcd.Config{DataDir: dir, ListenClient: []url.URL{*u}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(server.Endpoints()[0])
	<-ctx.Done()
	server.Stop()
	return 0
}

// killable is an etcd in a process of its own, with a real log on disk.
type killable struct {
	dir string

	mu       sync.Mutex
	endpoint string
	process  *exec.Cmd
}

func startKillable(t *testing.T) *killable {
	t.Helper()
	k := &killable{dir: t.TempDir(), endpoint: "http://127.0.0.1:0"}
	k.start(t)
	t.Cleanup(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kill()
	})
	return k
}

func (k *killable) start(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+k.dir, childListen+"="+k.endpoint)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		// Held open for as long as this process lives; the child ends with it.
		_, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	k.process = cmd
	scanner := bufio.NewScanner(out)
	if !scanner.Scan() {
		t.Error("etcd did not start")
		return
	}
	k.endpoint = scanner.Text()
}

func (k *killable) kill() {
	// A process that is gone already is all that could fail here.
	_ = k.process.Process.Kill()
	_ = k.process.Wait()
}

func (k *killable) killAndRestart(t *testing.T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kill()
	k.start(t)
}

func (k *killable) dial(t *testing.T) *clientv3.Client {
	t.Helper()
	client, err := store.Dial(store.Remote{Endpoints: []string{k.endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

package etcd

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startCommand runs `septet etcd` until the test ends, and returns when it is healthy at the address.
func startCommand(t *testing.T, healthy string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := Command()
	cmd.SetArgs(append(arguments, "--data-dir="+filepath.Join(t.TempDir(), "data"), "--listen-peer-urls=http://localhost:0", "--unsafe-no-fsync"))
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for {
		if response, err := http.Get(healthy + "/health"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("it ended: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestGatewayAndPages: the API as JSON, watches as streams of it, and who may ask.
func TestGatewayAndPages(t *testing.T) {
	t.Parallel()
	serving := freeURL(t)
	at := serving.String()
	startCommand(t, at, "--listen-client-urls="+at, "--advertise-client-urls="+at, "--host-whitelist=127.0.0.1", "--cors=http://friend.example:8080", "--enable-pprof")
	plain := http.DefaultClient
	// "a" and "1" in base64.
	for _, step := range []struct{ path, body, want string }{
		{"/v3/kv/put", `{"key":"YQ==","value":"MQ=="}`, `"revision":"2"`},
		{"/v3beta/kv/range", `{"key":"YQ=="}`, `"value":"MQ=="`},
		{"/v3/lease/grant", `{"TTL":60}`, `"TTL":"60"`},
		{"/v3/lock/lock", `{"name":"Yg=="}`, `"key":"Y`},
	} {
		if code, body := fetch(t, plain, "POST", at+step.path, step.body); code != http.StatusOK || !strings.Contains(body, step.want) {
			t.Errorf("%s: %d %s; want %s", step.path, code, body, step.want)
		}
	}
	if code, body := fetch(t, plain, "GET", at+"/debug/pprof/cmdline", ""); code != http.StatusOK || body == "" {
		t.Errorf("profiles: %d %s", code, body)
	}
	request, err := http.NewRequestWithContext(t.Context(), "OPTIONS", at+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://friend.example:8080")
	response, err := plain.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Access-Control-Allow-Origin") != "http://friend.example:8080" {
		t.Errorf("a browser is answered %s with %v", response.Status, response.Header)
	}
	request, err = http.NewRequestWithContext(t.Context(), "GET", at+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "elsewhere.example"
	if response, err = plain.Do(request); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host is answered %s", response.Status)
	}
}

// TestHTTPOnAPortOfItsOwn: with --listen-client-http-urls the other port speaks gRPC only.
func TestHTTPOnAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	rpc, pages := freeURL(t), freeURL(t)
	startCommand(t, pages.String(), "--listen-client-urls="+rpc.String(), "--advertise-client-urls="+rpc.String(), "--listen-client-http-urls="+pages.String())
	client := dial(t, rpc.String(), nil)
	if _, err := client.Put(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	if code, body := fetch(t, http.DefaultClient, "POST", pages.String()+"/v3/kv/range", `{"key":"YQ=="}`); code != http.StatusOK || !strings.Contains(body, "MQ==") {
		t.Errorf("the gateway: %d %s", code, body)
	}
	if response, err := http.Get(rpc.String() + "/health"); err == nil {
		response.Body.Close()
		t.Errorf("the port for gRPC answers HTTP: %s", response.Status)
	}
}

// TestAFileConfiguresIt and the flags beside it do not.
func TestAFileConfiguresIt(t *testing.T) {
	t.Parallel()
	serving := freeURL(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "etcd.yaml")
	write(t, file, "name: filed\ndata-dir: "+filepath.Join(dir, "data")+"\nlisten-client-urls: "+serving.String()+"\nadvertise-client-urls: "+serving.String()+
		"\nlisten-peer-urls: http://localhost:0\nunsafe-no-fsync: true\n")
	startCommand(t, serving.String(), "--config-file="+file, "--name=flagged")
	members, err := dial(t, serving.String(), nil).MemberList(t.Context())
	if err != nil || len(members.Members) != 1 || members.Members[0].Name != "filed" {
		t.Errorf("members: %+v, %v", members, err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

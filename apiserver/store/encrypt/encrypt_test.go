package encrypt

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kmsv2 "k8s.io/kms/apis/v2"
)

func key(fill byte, size int) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, size))
}

func open(t *testing.T, dir, resources, providers string) *Set {
	t.Helper()
	file := write(t, dir, resources, providers)
	set, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func write(t *testing.T, dir, resources, providers string) string {
	t.Helper()
	file := filepath.Join(dir, "encryption.yaml")
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [" + resources +
		"]\n  providers: [" + providers + "]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var secrets = schema.GroupResource{Resource: "secrets"}

const at = "/registry/secrets/default/a"

// TestRotation writes with each provider, then puts a new key before it: old data is read and stale, new data is not.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, provider, prefix string
		size                   int
		authenticated          bool
	}{
		{"aesgcm", "aesgcm", "k8s:enc:aesgcm:v1:old:", 32, true},
		{"aescbc", "aescbc", "k8s:enc:aescbc:v1:old:", 16, false},
		{"secretbox", "secretbox", "k8s:enc:secretbox:v1:old:", 32, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			old := fmt.Sprintf("{name: old, secret: %s}", key(1, test.size))
			set := open(t, dir, "secrets", fmt.Sprintf("{%s: {keys: [%s]}}, {identity: {}}", test.provider, old))
			transformer := set.For(secrets)
			generation := transformer.Generation()
			for _, plain := range []string{"", "x", strings.Repeat("sixteen bytes...", 3)} {
				stored, err := transformer.ToStorage(t.Context(), at, []byte(plain))
				if err != nil || !bytes.HasPrefix(stored, []byte(test.prefix)) {
					t.Fatalf("stored %q, %v", stored, err)
				}
				if plain != "" && bytes.Contains(stored[len(test.prefix):], []byte(plain)) && len(plain) > 1 {
					t.Fatalf("%q can be read in etcd", plain)
				}
				if out, stale, err := transformer.FromStorage(t.Context(), at, stored); err != nil || stale || string(out) != plain {
					t.Fatalf("read %q, stale %v, %v", out, stale, err)
				}
				if _, _, err := transformer.FromStorage(t.Context(), "/registry/secrets/other/a", stored); (err != nil) != test.authenticated {
					t.Fatalf("moved to another key: %v", err)
				}
				stored[len(stored)-1] ^= 1
				if out, _, err := transformer.FromStorage(t.Context(), at, stored); err == nil && string(out) == plain {
					t.Fatal("changed data was read")
				}
			}
			if _, stale, err := transformer.FromStorage(t.Context(), at, []byte("plain")); err != nil || !stale {
				t.Fatalf("plain data from before: stale %v, %v", stale, err)
			}
			stored, err := transformer.ToStorage(t.Context(), at, []byte("value"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "secrets", fmt.Sprintf("{%s: {keys: [{name: new, secret: %s}, %s]}}", test.provider, key(2, test.size), old))
			if err := set.Reload(); err != nil {
				t.Fatal(err)
			}
			if transformer.Generation() == generation {
				t.Fatal("the generation did not change")
			}
			if out, stale, err := transformer.FromStorage(t.Context(), at, stored); err != nil || !stale || string(out) != "value" {
				t.Fatalf("after the rotation: %q, stale %v, %v", out, stale, err)
			}
			write(t, dir, "secrets", "{identity: {}}")
			if err := set.Reload(); err != nil {
				t.Fatal(err)
			}
			if out, _, err := transformer.FromStorage(t.Context(), at, stored); err == nil {
				t.Fatalf("without its key it was read as %q", out)
			}
		})
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		resources string
		resource  schema.GroupResource
		encrypted bool
	}{
		{"secrets", secrets, true},
		{"secrets", schema.GroupResource{Resource: "configmaps"}, false},
		{"secrets", schema.GroupResource{Group: "example.com", Resource: "secrets"}, false},
		{"'*.'", secrets, true},
		{"'*.'", schema.GroupResource{Group: "apps", Resource: "deployments"}, false},
		{"'*.apps'", schema.GroupResource{Group: "apps", Resource: "deployments"}, true},
		{"'*.example.com'", schema.GroupResource{Group: "example.com", Resource: "widgets"}, true},
		{"widgets.example.com", schema.GroupResource{Group: "example.com", Resource: "widgets"}, true},
		{"'*.*'", schema.GroupResource{Group: "example.com", Resource: "widgets"}, true},
	} {
		set := open(t, t.TempDir(), test.resources, "{aesgcm: {keys: [{name: a, secret: "+key(1, 32)+"}]}}")
		stored, err := set.For(test.resource).ToStorage(t.Context(), at, []byte("value"))
		if err != nil || (string(stored) != "value") != test.encrypted {
			t.Errorf("%s: %v is stored as %q, %v", test.resources, test.resource, stored, err)
		}
	}
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	good := "{aesgcm: {keys: [{name: a, secret: " + key(1, 32) + "}]}}"
	for _, test := range []struct{ resources, providers, want string }{
		{"secrets", "", "at least one provider"},
		{"", good, "at least one resource"},
		{"secrets, secrets", good, "covered by secrets"},
		{"'*.*', secrets", good, "covered by *.*"},
		{"'*'", good, "lower-case plural"},
		{"secrets", "{}", "exactly one provider"},
		{"secrets", "{aesgcm: {keys: [{name: a, secret: " + key(1, 31) + "}]}}", "must be base64 of a key of"},
		{"secrets", "{aesgcm: {keys: [{name: 'a:b', secret: " + key(1, 32) + "}]}}", "nor have a colon"},
		{"secrets", "{aesgcm: {keys: []}}", "at least one key"},
		{"secrets", "{rot13: {}}", "unknown field"},
		{"secrets", "{kms: {name: a, endpoint: 'unix:///x'}}", "apiVersion"},
		{"secrets", "{kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}}", "unix socket"},
	} {
		_, err := Open(write(t, t.TempDir(), test.resources, test.providers))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), key(1, 31)) {
			t.Errorf("%s, %s: %v; want %q", test.resources, test.providers, err, test.want)
		}
	}
}

// plugin is a key management plug-in on a real socket. It "encrypts" by adding its key's id.
type plugin struct {
	kmsv2.UnimplementedKeyManagementServiceServer
	mu    sync.Mutex
	keyID string
	calls map[string]int
}

func startPlugin(t *testing.T) (*plugin, string) {
	t.Helper()
	p := &plugin{keyID: "one", calls: map[string]int{}}
	dir, err := os.MkdirTemp("", "kms") // unix socket paths are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmsv2.RegisterKeyManagementServiceServer(server, p)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return p, "unix://" + socket
}

// called counts a call and returns the current key's id.
func (p *plugin) called(method string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[method]++
	return p.keyID
}

func (p *plugin) Status(context.Context, *kmsv2.StatusRequest) (*kmsv2.StatusResponse, error) {
	return &kmsv2.StatusResponse{Version: "v2", Healthz: "ok", KeyId: p.called("Status")}, nil
}

func (p *plugin) Encrypt(_ context.Context, in *kmsv2.EncryptRequest) (*kmsv2.EncryptResponse, error) {
	id := p.called("Encrypt")
	return &kmsv2.EncryptResponse{
		Ciphertext: append([]byte(id+":"), in.Plaintext...), KeyId: id, Annotations: map[string][]byte{"a": []byte("b")},
	}, nil
}

func (p *plugin) Decrypt(_ context.Context, in *kmsv2.DecryptRequest) (*kmsv2.DecryptResponse, error) {
	p.called("Decrypt")
	plain, ok := bytes.CutPrefix(in.Ciphertext, []byte(in.KeyId+":"))
	if !ok || string(in.Annotations["a"]) != "b" {
		return nil, fmt.Errorf("cannot decrypt %q with %s", in.Ciphertext, in.KeyId)
	}
	return &kmsv2.DecryptResponse{Plaintext: plain}, nil
}

// TestKMS: one call for any number of objects, a new key when the plug-in has one, and data of a server before.
func TestKMS(t *testing.T) {
	t.Parallel()
	p, endpoint := startPlugin(t)
	provider := fmt.Sprintf("{kms: {apiVersion: v2, name: vault, endpoint: '%s'}}", endpoint)
	set := open(t, t.TempDir(), "secrets", provider)
	if err := set.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	transformer := set.For(secrets)
	var first []byte
	for range 10 {
		stored, err := transformer.ToStorage(t.Context(), at, []byte("value"))
		if err != nil || !bytes.HasPrefix(stored, []byte("k8s:enc:kms:v2:vault:")) {
			t.Fatalf("stored %q, %v", stored, err)
		}
		if bytes.Equal(stored, first) {
			t.Fatal("the same value is stored as the same bytes twice")
		}
		first = stored
		if out, stale, err := transformer.FromStorage(t.Context(), at, stored); err != nil || stale || string(out) != "value" {
			t.Fatalf("read %q, stale %v, %v", out, stale, err)
		}
	}
	if p.calls["Encrypt"] != 1 || p.calls["Decrypt"] != 0 {
		t.Fatalf("calls: %v", p.calls)
	}
	later := open(t, t.TempDir(), "secrets", provider).For(secrets)
	for range 3 {
		if out, _, err := later.FromStorage(t.Context(), at, first); err != nil || string(out) != "value" {
			t.Fatalf("read %q, %v", out, err)
		}
	}
	if p.calls["Decrypt"] != 1 {
		t.Fatalf("calls: %v", p.calls)
	}
	p.mu.Lock()
	p.keyID = "two"
	p.mu.Unlock()
	plugin := transformer.providers()[0].(*kms)
	plugin.mu.Lock()
	plugin.checked = time.Now().Add(-2 * statusEvery)
	plugin.mu.Unlock()
	before := transformer.Generation()
	if _, err := transformer.ToStorage(t.Context(), at, []byte("value")); err != nil {
		t.Fatal(err)
	}
	if transformer.Generation() == before {
		t.Fatal("the generation did not change with the plug-in's key")
	}
	if _, stale, err := transformer.FromStorage(t.Context(), at, first); err != nil || !stale {
		t.Fatalf("after the plug-in changed its key: stale %v, %v", stale, err)
	}
}

func TestWatchReloads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := open(t, dir, "secrets", "{identity: {}}")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Watch(ctx) }()
	before := set.For(secrets).Generation()
	for set.For(secrets).Generation() == before {
		write(t, dir, "secrets", "{aesgcm: {keys: [{name: a, secret: "+key(1, 32)+"}]}}")
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func FuzzEncryptedObject(f *testing.F) {
	whole := encryptedObject{data: []byte("data"), keyID: "k", seed: []byte("seed"), annotations: map[string][]byte{"a": []byte("b")}, sourceType: 1}
	f.Add(whole.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var object encryptedObject
		if object.parse(data) == nil {
			var again encryptedObject
			if err := again.parse(object.append(nil)); err != nil || again.keyID != object.keyID || !bytes.Equal(again.data, object.data) {
				t.Fatalf("%+v came back as %+v, %v", object, again, err)
			}
		}
	})
}

package store_test

import (
	"net/url"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
	"github.com/septet-io/septet/pki"
)

// startEtcd runs a member within the test's process.
func startEtcd(t testing.TB, config etcd.Config) *etcd.Server {
	t.Helper()
	config.DataDir, config.UnsafeNoFsync = t.TempDir(), true
	server, err := etcd.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// conformance: API Chunking, server should return chunks of results for list calls
// conformance: watch-configmaps-from-resource-version
func TestEmbedded(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) (storetest.Maker, *clientv3.Client) {
		server := startEtcd(t, etcd.Config{})
		return storetest.On(store.BackendOptions{Client: server.Client(), Revision: server.Revision, Dedicated: true}), server.Client()
	})
}

// TestRemote is the same against an etcd behind a socket, with certificates both ways.
func TestRemote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	authority, err := pki.LoadOrCreateAuthority(in("ca.crt"), in("ca.key"), "etcd")
	if err != nil {
		t.Fatal(err)
	}
	leaf := pki.Leaf{CommonName: "etcd", Hosts: []string{"127.0.0.1"}, Server: true, Client: true}
	if _, err := authority.Ensure(in("etcd.crt"), in("etcd.key"), leaf); err != nil {
		t.Fatal(err)
	}
	listen := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	tls := etcd.TLS{CertFile: in("etcd.crt"), KeyFile: in("etcd.key"), TrustedCAFile: in("ca.crt"), ClientCertAuth: true}
	storetest.Run(t, func(t testing.TB) (storetest.Maker, *clientv3.Client) {
		server := startEtcd(t, etcd.Config{ListenClient: listen, ClientTLS: tls})
		client, err := store.Dial(store.Remote{
			Endpoints: server.Endpoints(), CAFile: in("ca.crt"), CertFile: in("etcd.crt"), KeyFile: in("etcd.key"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		return storetest.On(store.BackendOptions{Client: client}), client
	})
}

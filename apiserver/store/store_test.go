package store_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/apiserver/store/storetest"
	"github.com/septet-io/septet/etcd"
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

func TestEmbedded(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) (storetest.Maker, *clientv3.Client) {
		server := startEtcd(t, etcd.Config{})
		return storetest.On(store.BackendOptions{Client: server.Client(), Revision: server.Revision, Dedicated: true}), server.Client()
	})
}

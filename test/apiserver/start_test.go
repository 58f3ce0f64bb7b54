package apiserver

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/etcd"
)

// BenchmarkStart is from nothing but an empty etcd to ready: with roles, namespaces and all that every cluster has.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		member, err := etcd.Start(b.Context(), etcd.Config{DataDir: filepath.Join(b.TempDir(), "etcd")})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		ctx, cancel := context.WithCancel(b.Context())
		server, err := apiserver.Open(ctx, apiserver.Config{Etcd: member.Client(), EtcdRevision: member.Revision, EtcdDedicated: true, CompactEvery: -1}, apiserver.Standard{})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- server.RunAll(ctx) }()
		for !ready(server) {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		member.Stop()
		b.StartTimer()
	}
}

func ready(server *apiserver.Server) bool {
	s := &Server{Server: server}
	return s.Do("GET", "/readyz", "").Body == "ok"
}

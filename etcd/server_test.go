package etcd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestStartWithoutSockets(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir(), UnsafeNoFsync: true}
	for round := range 2 {
		began := time.Now()
		s, err := Start(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("start %d took %v", round, time.Since(began))
		if round == 0 {
			if _, err := s.Client().Put(t.Context(), "a", "1"); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Client().Get(t.Context(), "a")
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("a = %v, %v", got, err)
		}
		if revision, err := s.Revision(t.Context()); err != nil || revision != got.Header.Revision {
			t.Fatalf("revision %d, %v; want %d", revision, err, got.Header.Revision)
		}
		if _, err := Start(t.Context(), config); err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Fatalf("second start in the same directory: %v", err)
		}
		s.Stop()
	}
}

// A member that was killed has its whole log to read again, more of it than it keeps in memory. However the reading and the election
// fall together, it starts. The state of a killed member is that of its files at any moment.
func TestAMemberStartsOverALongLog(t *testing.T) {
	t.Parallel()
	running := Config{DataDir: t.TempDir(), UnsafeNoFsync: true}
	s, err := Start(t.Context(), running)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 3 * catchUpAlone / 2
	for i := range keys {
		if _, err := s.Client().Put(t.Context(), strconv.Itoa(i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(running.DataDir)); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	for range 40 {
		again := Config{DataDir: filepath.Join(t.TempDir(), "again"), UnsafeNoFsync: true}
		if err := os.CopyFS(again.DataDir, os.DirFS(killed)); err != nil {
			t.Fatal(err)
		}
		s, err := Start(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		found, err := s.Client().Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || found.Count != keys {
			t.Errorf("%d keys, %v; want %d", found.Count, err, keys)
		}
		s.Stop()
	}
}

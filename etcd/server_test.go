package etcd

import (
	"strings"
	"testing"
	"time"
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

package etcd

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func loopback() []url.URL { return []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}} }

func startMember(t *testing.T, config Config) *Server {
	t.Helper()
	if config.DataDir == "" {
		config.DataDir = t.TempDir()
	}
	config.UnsafeNoFsync = true
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func put(t *testing.T, s *Server, key, value string) {
	t.Helper()
	if _, err := s.Client().Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *Server, key, value string) {
	t.Helper()
	response, err := s.Client().Get(t.Context(), key)
	if err != nil || len(response.Kvs) != 1 || string(response.Kvs[0].Value) != value {
		t.Fatalf("%s is %v, %v; want %s", key, response, err, value)
	}
}

// TestOneMemberBecomesThree grows a cluster while it serves, loses a member, and removes it.
func TestOneMemberBecomesThree(t *testing.T) {
	t.Parallel()
	fast := Config{Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond}
	first := fast
	first.Name, first.ListenPeer = "one", loopback()
	one := startMember(t, first)
	// The port was chosen by the system: tell the cluster.
	if err := one.SetPeerURLs(t.Context(), one.PeerEndpoints()); err != nil {
		t.Fatal(err)
	}
	put(t, one, "before", "1")
	servers := []*Server{one}
	for _, name := range []string{"two", "three"} {
		// A listener has to exist before its member: take a free port for a moment.
		peer := freeURL(t)
		id, initial, err := one.AddMember(t.Context(), name, []string{peer.String()})
		if err != nil {
			t.Fatal(err)
		}
		put(t, one, "while "+name+" is away", "1")
		config := fast
		config.Name, config.ListenPeer, config.InitialCluster, config.Join = name, []url.URL{peer}, initial, true
		servers = append(servers, startMember(t, config))
		if err := one.Promote(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	wantValue(t, servers[2], "before", "1")
	put(t, servers[1], "after", "2")
	for _, s := range servers {
		wantValue(t, s, "after", "2")
		if revision, err := s.Revision(t.Context()); err != nil || revision < 4 {
			t.Fatalf("revision %d, %v", revision, err)
		}
	}
	members, err := one.Members(t.Context())
	if err != nil || len(members) != 3 {
		t.Fatalf("members: %+v, %v", members, err)
	}
	servers[0].Stop()
	put(t, servers[1], "without the first", "3")
	wantValue(t, servers[2], "without the first", "3")
	if err := servers[1].RemoveMember(t.Context(), uint64(servers[0].Member().MemberID())); err != nil {
		t.Fatal(err)
	}
	if members, err := servers[2].Members(t.Context()); err != nil || len(members) != 2 {
		t.Fatalf("after removal: %+v, %v", members, err)
	}
	if err := servers[2].Health(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotAndRestore: a restored member has everything, and one that joins it later has so too.
func TestSnapshotAndRestore(t *testing.T) {
	t.Parallel()
	s := startMember(t, Config{})
	put(t, s, "/registry/a", "1")
	put(t, s, "/registry/a", "2")
	revision, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := s.SaveSnapshot(file); err != nil {
		t.Fatal(err)
	}
	put(t, s, "/registry/a", "3")
	peer := freeURL(t)
	restore := Restore{File: file, DataDir: filepath.Join(t.TempDir(), "restored"), Name: "one", PeerURLs: []string{peer.String()}}
	if err := restore.Run(); err != nil {
		t.Fatal(err)
	}
	if err := restore.Run(); err == nil {
		t.Fatal("a restore overwrote a data directory")
	}
	one := startMember(t, Config{DataDir: restore.DataDir, Name: "one", ListenPeer: []url.URL{peer},
		Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond})
	wantValue(t, one, "/registry/a", "2")
	if got, err := one.Revision(t.Context()); err != nil || got != revision {
		t.Fatalf("revision %d, %v; want %d", got, err, revision)
	}
	old, err := one.Client().Get(t.Context(), "/registry/a", clientv3.WithRev(revision-1))
	if err != nil || string(old.Kvs[0].Value) != "1" {
		t.Fatalf("history: %v, %v", old, err)
	}
	put(t, one, "/registry/b", "1")
	joining := freeURL(t)
	id, initial, err := one.AddMember(t.Context(), "two", []string{joining.String()})
	if err != nil {
		t.Fatal(err)
	}
	two := startMember(t, Config{Name: "two", ListenPeer: []url.URL{joining}, InitialCluster: initial, Join: true,
		Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond})
	if err := one.Promote(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	wantValue(t, two, "/registry/a", "2")
	wantValue(t, two, "/registry/b", "1")
}

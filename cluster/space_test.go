package cluster

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A node's network namespace is made once, found again, and goes without a trace. A file that only has its name, as is left after
// the machine's restart, is none.
func TestANodesNetworkNamespaceComesAndGoes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	t.Parallel()
	s := neighbour{name: "n", data: filepath.Join(t.TempDir(), "n")}.space()
	exists := func(want bool) {
		t.Helper()
		if got, err := s.exists(); err != nil || got != want {
			t.Fatalf("exists: %v, %v; want %v", got, err, want)
		}
	}
	exists(false)
	for range 2 { // the second time the file is there already
		made, err := s.make()
		if err != nil {
			t.Fatal(err)
		}
		made.Close()
		exists(true)
		if err := s.within(func() error {
			links, err := net.Interfaces()
			if err == nil && (len(links) != 1 || links[0].Name != "lo") {
				t.Errorf("not a new one: %v", links)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := s.remove(); err != nil {
			t.Fatal(err)
		}
		exists(false)
	}
	if err := s.within(func() error { return nil }); err == nil {
		t.Error("nothing is there, and something ran in it")
	}
	if err := s.remove(); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

// Taking down a control plane alone must not cut the network of another cluster's Pods on the same machine.
func TestOnlyADataDirectoryOfANodeOwnsTheMachinesNetwork(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if hadNode(data) {
		t.Error("there was no node")
	}
	if err := os.MkdirAll(paths{data: data, node: "n"}.kubelet(), 0o700); err != nil {
		t.Fatal(err)
	}
	if !hadNode(data) {
		t.Error("there was a node")
	}
	if !hadNode(filepath.Join(data, "gone")) {
		t.Error("nobody knows of other owners when the files are gone")
	}
}

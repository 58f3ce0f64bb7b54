package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func authority(t *testing.T, dir string) *Authority {
	t.Helper()
	made, err := LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "septet-ca")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestAnAuthorityIsMadeOnceAndReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := authority(t, dir), authority(t, dir)
	if first.Hash() != second.Hash() {
		t.Fatal("the second start made another authority")
	}
	if mode := stat(t, filepath.Join(dir, "ca.key")).Mode().Perm(); mode != 0o600 {
		t.Fatalf("key is readable by others: %o", mode)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "septet-ca"); err == nil {
		t.Fatal("a certificate without its key was accepted")
	}
}

func TestAPairIsRenewedOnlyWhenItMustBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := authority(t, dir)
	crt, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	steps := []struct {
		why     string
		leaf    Leaf
		renewed bool
	}{
		{"first", Leaf{CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1"}, Server: true, Life: time.Minute}, true},
		{"nearly over: it was backdated by five minutes and has one left", Leaf{CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1"}, Server: true}, true},
		{"nothing changed", Leaf{CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1"}, Server: true}, false},
		{"a host more", Leaf{CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1", "node-1"}, Server: true}, true},
		{"a host less is no reason", Leaf{CommonName: "kube-apiserver", Hosts: []string{"node-1"}, Server: true}, false},
		{"another subject", Leaf{CommonName: "etcd", Hosts: []string{"node-1"}, Server: true}, true},
	}
	for _, step := range steps {
		renewed, err := ca.Ensure(crt, key, step.leaf)
		if err != nil || renewed != step.renewed {
			t.Fatalf("%s: renewed %v, error %v", step.why, renewed, err)
		}
	}
}

func TestASignedCertificateIsTrustedForWhatItSays(t *testing.T) {
	t.Parallel()
	ca := authority(t, t.TempDir())
	pair, err := ca.TLS(Leaf{CommonName: "server", Hosts: []string{"example.test", "::1"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	for _, host := range []string{"example.test", "::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("a server's certificate passes as a client's")
	}
}

func TestAKubeconfigIsMergedAndTakenOutWithoutTouchingOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := authority(t, dir)
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	for file, name := range map[string]string{ours: "septet", theirs: "work"} {
		if _, err := ca.EnsureKubeconfig(file, "https://127.0.0.1:6443", name, Leaf{CommonName: "admin"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := MergeKubeconfig(ours, theirs, "septet"); err != nil {
		t.Fatal(err)
	}
	merged, err := clientcmd.LoadFromFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if merged.CurrentContext != "work" || len(merged.Clusters) != 2 || merged.Contexts["septet"] == nil {
		t.Fatalf("merged: current %q, %d clusters", merged.CurrentContext, len(merged.Clusters))
	}
	if err := RemoveFromKubeconfig(theirs, "septet"); err != nil {
		t.Fatal(err)
	}
	left, err := clientcmd.LoadFromFile(theirs)
	if err != nil || len(left.Clusters) != 1 || left.Clusters["work"] == nil {
		t.Fatalf("left: %v, %v", left, err)
	}
	if err := RemoveFromKubeconfig(theirs, "work"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(theirs); !os.IsNotExist(err) {
		t.Fatal("an empty kubeconfig was left behind")
	}
}

func stat(t *testing.T, file string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

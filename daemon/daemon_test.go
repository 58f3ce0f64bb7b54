package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// call runs a component's command line and returns how it ended.
func call(t *testing.T, fails error, args ...string) (code int, ran bool, out string) {
	t.Helper()
	cmd := Component("kube-thing", "A component", func(flags *pflag.FlagSet) { flags.String("some-flag", "", "a flag") },
		func(context.Context) error {
			ran = true
			return fails
		})
	cmd.SetArgs(args)
	var stdout bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(io.Discard)
	return Main(cmd), ran, stdout.String()
}

// Exit codes are 0, 1 for what was asked rightly and failed, and 2 for what was asked wrongly. Not parallel: logging flags are the process's.
func TestCommandsSayHowTheyEnded(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		fails error
		code  int
		ran   bool
		out   string
	}{
		"well":                    {args: nil, ran: true},
		"underscores are dashes":  {args: []string{"--some_flag=x"}, ran: true},
		"the version":             {args: []string{"--version"}, out: "Kubernetes " + KubernetesVersion + "\n"},
		"an unknown flag":         {args: []string{"--no-such-flag"}, code: ExitUsage},
		"an argument":             {args: []string{"word"}, code: ExitUsage},
		"a bad logging format":    {args: []string{"--logging-format=xml"}, code: ExitUsage},
		"a failure":               {fails: errors.New("the disk is full"), code: ExitFailure, ran: true},
		"a flag's value is wrong": {fails: UsageError("--some-flag: must be a number"), code: ExitUsage, ran: true},
	} {
		code, ran, out := call(t, test.fails, test.args...)
		if code != test.code || ran != test.ran || out != test.out {
			t.Errorf("%s: exit %d, ran %v, printed %q", name, code, ran, out)
		}
	}
}

func TestErrorsNameTheWholeCommand(t *testing.T) {
	t.Parallel()
	root, image, load := &cobra.Command{Use: "septet"}, &cobra.Command{Use: "image"}, &cobra.Command{Use: "load FILE"}
	root.AddCommand(image)
	image.AddCommand(load)
	for cmd, want := range map[*cobra.Command]string{root: "septet", image: "image", load: "image load"} {
		if got := nameOf(cmd); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func TestHealthNamesWhatFailed(t *testing.T) {
	t.Parallel()
	health := &Health{}
	health.Check("ping", func() error { return nil })
	health.Check("disk", func() error { return errors.New("full") })
	ask := func(query string) (int, string) {
		recorder := httptest.NewRecorder()
		health.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/healthz"+query, nil))
		return recorder.Code, recorder.Body.String()
	}
	if code, body := ask(""); code != http.StatusInternalServerError || !strings.Contains(body, "[-]disk failed: full\n[+]ping ok\n") {
		t.Errorf("a failing check: %d %q", code, body)
	}
	if code, body := ask("?exclude=disk"); code != http.StatusOK || body != "ok" {
		t.Errorf("the check left out: %d %q", code, body)
	}
	if code, body := ask("?exclude=disk&verbose"); code != http.StatusOK || !strings.Contains(body, "[+]ping ok\n") {
		t.Errorf("verbose: %d %q", code, body)
	}
}

// writePair writes a self-signed pair with a serial number by which it is told from others.
func writePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair := &Certificate{CertFile: filepath.Join(dir, "crt"), KeyFile: filepath.Join(dir, "key")}
	bundle := &Authorities{File: pair.CertFile}
	if _, err := pair.Get(); err == nil {
		t.Error("a pair that is not there was read")
	}
	serial := func() int64 {
		t.Helper()
		pair.checked, bundle.checked = time.Time{}, time.Time{} // as if the last look were long ago
		current, err := pair.Get()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bundle.Pool(); err != nil {
			t.Fatal(err)
		}
		return current.Leaf.SerialNumber.Int64()
	}
	writePair(t, pair.CertFile, pair.KeyFile, 1)
	if serial() != 1 {
		t.Error("the first pair was not read")
	}
	writePair(t, pair.CertFile, pair.KeyFile, 2)
	if serial() != 2 {
		t.Error("the second pair was not read")
	}
	if err := os.WriteFile(pair.CertFile, []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if serial() != 2 {
		t.Error("a broken file took the good pair's place")
	}
}

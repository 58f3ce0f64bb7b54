package daemon

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestWhatClientsMustBeAbleTo, and which flag is wrong.
func TestWhatClientsMustBeAbleTo(t *testing.T) {
	t.Parallel()
	var f TLSFlags
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f.AddFlags(flags)
	if err := flags.Parse([]string{"--tls-min-version=VersionTLS13", "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "--tls-curve-preferences=23,29"}); err != nil {
		t.Fatal(err)
	}
	config, err := f.Config()
	if err != nil || config.MinVersion != tls.VersionTLS13 || !slices.Equal(config.CurvePreferences, []tls.CurveID{tls.CurveP256, tls.X25519}) ||
		!slices.Equal(config.CipherSuites, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}) {
		t.Errorf("%+v, %v", config, err)
	}
	_, err = (&TLSFlags{version: "VersionSSL30", suites: []string{"ROT13"}, curves: []int32{7}}).Config()
	for _, flag := range []string{"--tls-min-version", "--tls-cipher-suites", "--tls-curve-preferences"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%v does not name %s", err, flag)
		}
	}
}

// TestTwoProcessesMayShareAPort if both say so.
func TestTwoProcessesMayShareAPort(t *testing.T) {
	t.Parallel()
	first, err := Listen(t.Context(), "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := Listen(t.Context(), first.Addr().String(), true)
	if err != nil {
		t.Fatalf("shared: %v", err)
	}
	second.Close()
	if third, err := Listen(t.Context(), first.Addr().String(), false); err == nil {
		third.Close()
		t.Error("a port was shared with who did not ask for it")
	}
}

// TestProfilesAreServedIfWanted, beside what else there is.
func TestProfilesAreServedIfWanted(t *testing.T) {
	t.Parallel()
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, test := range []struct {
		wanted bool
		path   string
		code   int
	}{
		{true, "/debug/pprof/goroutine", http.StatusOK}, {true, "/debug/pprof", http.StatusOK}, {true, "/debug/journal", http.StatusTeapot},
		{false, "/debug/pprof/goroutine", http.StatusTeapot},
	} {
		w := httptest.NewRecorder()
		flags := ProfileFlags{Serve: test.wanted}
		flags.Over(next).ServeHTTP(w, httptest.NewRequest("GET", test.path, nil))
		if w.Code != test.code {
			t.Errorf("%+v: %d", test, w.Code)
		}
	}
}

// TestAPortKeepsToItsFlags: the protocol that a client gets.
func TestAPortKeepsToItsFlags(t *testing.T) {
	t.Parallel()
	for flag, protocol := range map[string]string{"--permit-port-sharing": "h2", "--disable-http2-serving": "http/1.1"} {
		port := SecurePort{Port: 1}
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		port.AddFlags(flags)
		if err := flags.Parse([]string{flag, "--tls-min-version=VersionTLS13"}); err != nil {
			t.Fatal(err)
		}
		listener, err := Listen(t.Context(), "127.0.0.1:0", false)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		ctx := t.Context()
		go func() { done <- port.Serve(ctx, listener, nil, http.NotFoundHandler()) }()
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
			t.Errorf("%s: %s", flag, got)
		}
		conn.Close()
		if _, err := (&SecurePort{Port: 1, wanted: TLSFlags{version: "TLS9"}}).Listen(); err == nil || !strings.Contains(err.Error(), "--tls-min-version") {
			t.Errorf("a version that there is not: %v", err)
		}
		if old, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
			old.Close()
			t.Errorf("%s: TLS 1.2 was agreed on", flag)
		}
	}
}

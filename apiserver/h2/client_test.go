package h2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/septet-io/septet/apiserver/h2"
)

// start serves a handler by HTTP/2, and returns the server and a client of net/http.
func start(t *testing.T, server *h2.Server, handler http.HandlerFunc) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	s.Listener = h2.Listen(s.Listener)
	server.Configure(s.Config)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, s.Client()
}

func read(t *testing.T, answer *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		t.Fatalf("answered by %s", answer.Proto)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAnswers: what handlers do is what clients see, as with net/http's own server.
func TestAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 100_000)
	for _, one := range []struct {
		name, method string
		handler      http.HandlerFunc
		status       int
		body         string
		length       int64
		header       map[string]string
	}{
		{"nothing", "GET", func(http.ResponseWriter, *http.Request) {}, 200, "", 0, nil},
		{"short", "GET", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>short") }, 200, "<html>short", 11,
			map[string]string{"Content-Type": "text/html; charset=utf-8"}},
		{"long", "GET", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, long) }, 200, long, -1,
			map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"in pieces", "GET", func(w http.ResponseWriter, _ *http.Request) {
			for piece := range strings.SplitSeq(long, " ") {
				fmt.Fprint(w, piece)
			}
		}, 200, strings.ReplaceAll(long, " ", ""), -1, nil},
		{"of known length", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(201)
			w.Header().Set("X-Too-Late", "yes")
			fmt.Fprint(w, "12345")
			if _, err := fmt.Fprint(w, "6"); !errors.Is(err, http.ErrContentLength) {
				panic(fmt.Sprint("more than declared: ", err))
			}
		}, 201, "12345", 5, map[string]string{"Content-Type": "application/json", "X-Too-Late": ""}},
		{"flushed", "GET", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "a")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Too-Late", "yes")
			fmt.Fprint(w, "b")
		}, 200, "ab", -1, map[string]string{"X-Too-Late": ""}},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			fmt.Fprint(w, "7 bytes")
		}, 200, "", 7, nil},
		{"no content", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := fmt.Fprint(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic(fmt.Sprint("a body of 204: ", err))
			}
		}, 204, "", 0, nil},
		{"not modified", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", "a")
			w.WriteHeader(304)
		}, 304, "", 0, map[string]string{"Etag": "a"}},
		{"connection's fields", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Keep-Alive", "yes")
			w.Header().Set("X-Bad", "a\r\nb")
			w.Header().Add("Vary", "a")
			w.Header().Add("Vary", "b")
		}, 200, "", 0, map[string]string{"Keep-Alive": "", "X-Bad": "", "Vary": "a"}},
		{"a header of many frames", "GET", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", long[:100_000]) }, 200, "", 0,
			map[string]string{"X-Long": long[:99_999]}},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			s, client := start(t, &h2.Server{}, one.handler)
			request, _ := http.NewRequest(one.method, s.URL, nil)
			answer, err := client.Do(request)
			if got := read(t, answer, err); got != one.body {
				t.Errorf("body of %d bytes, want %d", len(got), len(one.body))
			}
			if answer.StatusCode != one.status || answer.ContentLength != one.length {
				t.Errorf("status %d, length %d; want %d, %d", answer.StatusCode, answer.ContentLength, one.status, one.length)
			}
			if answer.Header.Get("Date") == "" {
				t.Error("no date")
			}
			for name, want := range one.header {
				if got := answer.Header.Get(name); strings.TrimSpace(got) != want {
					t.Errorf("%s: %.100q, want %.100q", name, got, want)
				}
			}
		})
	}
}

// TestRequests: handlers see what clients have sent.
func TestRequests(t *testing.T) {
	t.Parallel()
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintln(w, r.Method, r.URL, r.Host == r.Header.Get("X-Host"), r.ContentLength, len(body), err)
		fmt.Fprintln(w, r.Header["X-Two"], r.Header.Get("Cookie"), r.Trailer.Get("X-Sum"), r.TLS != nil, r.RemoteAddr != "")
	})
	host := strings.TrimPrefix(s.URL, "https://")
	big := bytes.Repeat([]byte("x"), 2<<20) // more than all windows
	for _, one := range []struct {
		method, path string
		body         io.Reader
		trailer      http.Header
		want         string
	}{
		{"GET", "/a?b=c%20d", nil, nil, "GET /a?b=c%20d true 0 0 <nil>\n[1 2] a=b; c=d  true true\n"},
		{"POST", "/", bytes.NewReader(big), nil, "POST / true 2097152 2097152 <nil>\n[1 2] a=b; c=d  true true\n"},
		{"PUT", "/", io.MultiReader(bytes.NewReader(big)), http.Header{"X-Sum": {"7"}}, "PUT / true -1 2097152 <nil>\n[1 2] a=b; c=d 7 true true\n"},
	} {
		request, _ := http.NewRequest(one.method, s.URL+one.path, one.body)
		request.Header = http.Header{"X-Two": {"1", "2"}, "X-Host": {host}, "Cookie": {"a=b; c=d"}}
		request.Trailer = one.trailer
		answer, err := client.Do(request)
		if got := read(t, answer, err); got != one.want {
			t.Errorf("%s: %q, want %q", one.method, got, one.want)
		}
	}
}

// TestAnswerBeforeBody: a handler that does not want the body answers at once, and what the client goes on to send harms no other request.
func TestAnswerBeforeBody(t *testing.T) {
	t.Parallel()
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	for range 20 { // of 100 MiB each: more than the connection takes unread
		answer, err := client.Post(s.URL, "text/plain", io.LimitReader(zeros{}, 100<<20))
		if got := read(t, answer, err); got != "no\n" || answer.StatusCode != 403 {
			t.Fatalf("%d %q", answer.StatusCode, got)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestContinue: who asks whether a body is wanted is told when the handler reads it, and early hints come before the answer.
func TestContinue(t *testing.T) {
	t.Parallel()
	s, _ := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style>")
		w.WriteHeader(http.StatusEarlyHints)
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	client := s.Client()
	client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	var hints []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		hints = append(hints, code)
		return nil
	}})
	request, _ := http.NewRequestWithContext(ctx, "POST", s.URL, strings.NewReader("body"))
	request.Header.Set("Expect", "100-continue")
	answer, err := client.Do(request)
	if got := read(t, answer, err); got != "body" || fmt.Sprint(hints) != "[103 100]" {
		t.Errorf("%q after %v", got, hints)
	}
}

// TestTrailers: announced and unannounced.
func TestTrailers(t *testing.T) {
	t.Parallel()
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
		w.Header().Set("X-Sum", "7")
		w.Header().Set(http.TrailerPrefix+"X-More", "8")
	})
	answer, err := client.Get(s.URL)
	if got := read(t, answer, err); got != "body" || answer.Trailer.Get("X-Sum") != "7" || answer.Trailer.Get("X-More") != "8" {
		t.Errorf("%q, %v", got, answer.Trailer)
	}
}

// TestBrokenOff: a handler that panics breaks off its own answer only, and one whose client went away hears of it.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			fmt.Fprint(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "half")
		case "/wait":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			_, err := io.Copy(w, zeros{})
			gone <- err
		default:
			fmt.Fprint(w, "fine")
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	request, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/wait", nil)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, path := range []string{"/panic", "/short"} {
		broken, err := client.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if half, err := io.ReadAll(broken.Body); err == nil || string(half) != "half" {
			t.Errorf("%s: %q, %v", path, half, err)
		}
		broken.Body.Close()
	}
	cancel()
	if err := <-gone; err == nil {
		t.Error("written to nobody")
	}
	fine, err := client.Get(s.URL)
	if got := read(t, fine, err); got != "fine" {
		t.Errorf("%q", got)
	}
}

// TestStreams: hundreds of streams of one connection get all their events, in order, and those that begin meanwhile are served.
func TestStreams(t *testing.T) {
	t.Parallel()
	const streams, events = 200, 20
	var more sync.WaitGroup
	more.Add(1)
	s, client := start(t, &h2.Server{MaxStreams: 1000}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		more.Wait()
		for n := range events {
			if _, err := fmt.Fprintf(w, "%d %s\n", n, strings.Repeat("e", 4000)); err != nil {
				t.Error(err)
			}
			w.(http.Flusher).Flush()
		}
	})
	var all []*http.Response
	for range streams {
		answer, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, answer)
	}
	more.Done()
	var readers sync.WaitGroup
	for _, answer := range all {
		readers.Go(func() {
			text := read(t, answer, nil)
			for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
				if got, _, _ := strings.Cut(line, " "); got != fmt.Sprint(n) {
					t.Errorf("event %s as number %d", got, n)
				}
			}
			if n := strings.Count(text, "\n"); n != events {
				t.Errorf("%d events", n)
			}
		})
	}
	readers.Wait()
}

// TestShutdown: requests under way end well, then the connection does; idle ones close.
func TestShutdown(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(begun)
		<-goOn
		fmt.Fprint(w, "to the end")
	})
	answer, err := client.Get(s.URL)
	<-begun
	down := make(chan error, 1)
	go func() { down <- s.Config.Shutdown(t.Context()) }()
	select {
	case <-down:
		t.Fatal("shut down while a request was under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if got := read(t, answer, err); got != "to the end" {
		t.Errorf("%q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// offerer is request.Offerer.
type offerer interface {
	Offer(head, shared, tail []byte) (bool, interface{ Flush() })
}

// TestOffers: what others add to streams comes in order with what handlers write, and goes out together; what would have to wait is not taken.
func TestOffers(t *testing.T) {
	t.Parallel()
	const streams = 20
	large := bytes.Repeat([]byte("s"), 40_000) // more than a frame
	open := make(chan offerer, streams)
	end := make(chan struct{})
	s, client := start(t, &h2.Server{}, func(w http.ResponseWriter, r *http.Request) {
		if taken, _ := w.(offerer).Offer([]byte("too early"), nil, nil); taken {
			t.Error("taken before the header was sent")
		}
		fmt.Fprint(w, "begin ")
		w.(http.Flusher).Flush()
		open <- w.(offerer)
		<-end
		fmt.Fprint(w, "end")
	})
	var answers []*http.Response
	var outs []offerer
	for range streams {
		answer, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		answers, outs = append(answers, answer), append(outs, <-open)
	}
	later := map[interface{ Flush() }]bool{}
	head := []byte("head ")
	for _, out := range outs {
		taken, flusher := out.Offer(head, large, []byte(" tail "))
		if !taken {
			t.Fatal("not taken, though there is room")
		}
		if flusher != nil {
			later[flusher] = true
		}
	}
	copy(head, "XXXXX") // it was copied
	if len(later) > 1 {
		t.Errorf("%d have to be flushed for one connection", len(later))
	}
	for flusher := range later {
		flusher.Flush()
	}
	close(end)
	for _, answer := range answers {
		if got, want := read(t, answer, nil), "begin head "+string(large)+" tail end"; got != want {
			t.Errorf("%d bytes, want %d", len(got), len(want))
		}
	}
	if taken, _ := outs[0].Offer([]byte("too late"), nil, nil); taken {
		t.Error("taken after the end")
	}
}

// TestOtherProtocols: HTTP/1.1 is net/http's as before, on the same port, and handlers see clients' certificates in both.
func TestOtherProtocols(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, len(r.TLS.PeerCertificates))
	}))
	s.EnableHTTP2 = true
	s.Listener = h2.Listen(s.Listener)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
	(&h2.Server{}).Configure(s.Config)
	s.StartTLS()
	t.Cleanup(s.Close)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := s.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = s.TLS.Certificates
		transport.TLSClientConfig.NextProtos = nil
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
		transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
		t.Cleanup(transport.CloseIdleConnections)
		answer, err := (&http.Client{Transport: transport}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if want := protocol + "1"; err != nil || string(body) != want {
			t.Errorf("%q, %v; want %q", body, err, want)
		}
	}
}

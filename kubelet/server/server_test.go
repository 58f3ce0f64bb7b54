package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	streamcommand "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	utilexec "k8s.io/utils/exec"
	"k8s.io/utils/ptr"

	"github.com/septet-io/septet/kubelet/server/auth"
)

// runtime is a container runtime's streaming server, the very one that containerd has, in front of a shell of few words.
type runtime struct{ streaming.Server }

func newRuntime(t *testing.T) *runtime {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := streaming.DefaultConfig
	config.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	r := &runtime{}
	if r.Server, err = streaming.NewServer(config, r); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: r.Server}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return r
}

type shell struct{ runtime *runtime }

func (s shell) ExecSync(_ context.Context, _ string, command []string, _ time.Duration) (*runtimeapi.ExecSyncResponse, error) {
	if command[0] == "false" {
		return &runtimeapi.ExecSyncResponse{ExitCode: 1, Stderr: []byte("no")}, nil
	}
	return &runtimeapi.ExecSyncResponse{Stdout: []byte(strings.Join(command, " "))}, nil
}

func (s shell) Exec(_ context.Context, request *runtimeapi.ExecRequest) (string, error) {
	response, err := s.runtime.GetExec(request)
	return response.GetUrl(), err
}

func (s shell) Attach(_ context.Context, request *runtimeapi.AttachRequest) (string, error) {
	response, err := s.runtime.GetAttach(request)
	return response.GetUrl(), err
}

func (s shell) PortForward(_ context.Context, request *runtimeapi.PortForwardRequest) (string, error) {
	response, err := s.runtime.GetPortForward(request)
	return response.GetUrl(), err
}

// Exec runs "cat" (stdin to stdout until it ends), "exit N", "both" or "size" (waits for a terminal size and tells it).
func (r *runtime) Exec(_ context.Context, id string, command []string, in io.Reader, out, errs io.WriteCloser, _ bool, sizes <-chan streamcommand.TerminalSize) error {
	switch command[0] {
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "both":
		fmt.Fprint(errs, "to stderr")
		fmt.Fprint(out, id)
	case "size":
		size := <-sizes
		fmt.Fprintf(out, "%dx%d", size.Width, size.Height)
	case "exit":
		return utilexec.CodeExitError{Err: errors.New("ended"), Code: 7}
	}
	return nil
}

func (r *runtime) Attach(_ context.Context, id string, _ io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan streamcommand.TerminalSize) error {
	_, err := fmt.Fprint(out, "attached to "+id)
	return err
}

// PortForward answers one line with the port and the line.
func (r *runtime) PortForward(_ context.Context, _ string, port int32, stream io.ReadWriteCloser) error {
	buffer := make([]byte, 5)
	if _, err := io.ReadFull(stream, buffer); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stream, "%d %s", port, buffer)
	return err
}

// agent knows one Pod with one container.
type agent struct{ log string }

func (a agent) Pods() []*corev1.Pod {
	return []*corev1.Pod{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "uid"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}},
	}}
}

func (a agent) RunningPods(context.Context) ([]*corev1.Pod, error) { return a.Pods(), nil }

func (a agent) Pod(namespace, name string, uid types.UID) (*corev1.Pod, bool) {
	pod := a.Pods()[0]
	return pod, namespace == pod.Namespace && name == pod.Name && (uid == "" || uid == pod.UID)
}

func (a agent) ContainerID(_ context.Context, _ *corev1.Pod, name string) (string, error) {
	if name != "c" {
		return "", fmt.Errorf("container not found (%q)", name)
	}
	return "container-id", nil
}

func (a agent) SandboxID(context.Context, *corev1.Pod) (string, error) { return "sandbox-id", nil }

func (a agent) Log(_ context.Context, _ *corev1.Pod, name string, previous bool) (Log, error) {
	if previous {
		return Log{}, fmt.Errorf("previous terminated container %q in pod %q not found", name, "pod")
	}
	return Log{Path: a.log}, nil
}

// port is the server on a real port of its own, open to everybody.
func port(t *testing.T) string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(log, []byte("2026-01-02T10:00:00Z stdout F one\n2026-01-02T10:00:00Z stderr F two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Config{
		Agent: agent{log}, Streams: shell{newRuntime(t)}, Auth: auth.Config{Anonymous: true, AlwaysAllow: true},
		ConfigZ: func() any { return map[string]int{"port": 10250} },
		Summary: func(context.Context, bool) (*statsapi.Summary, error) {
			return &statsapi.Summary{
				Node: statsapi.NodeStats{NodeName: "node", CPU: &statsapi.CPUStats{UsageCoreNanoSeconds: ptr.To[uint64](2e9)}},
				Pods: []statsapi.PodStats{{
					PodRef:     statsapi.PodReference{Namespace: "ns", Name: "pod"},
					Containers: []statsapi.ContainerStats{{Name: "c", Memory: &statsapi.MemoryStats{WorkingSetBytes: ptr.To[uint64](4096)}}},
				}},
			}, nil
		},
	})
	server := httptest.NewUnstartedServer(s.Handler())
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func insecure(base string) *rest.Config {
	return &rest.Config{Host: base, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	client, err := rest.HTTPClientFor(insecure(""))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// clients are the ways in which kubectl speaks: old ones over SPDY, new ones over WebSockets in version 5, and version 4 in between.
var clients = map[string]func(*rest.Config, *url.URL) (remotecommand.Executor, error){
	"SPDY": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "POST", u)
	},
	"v5": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutorForProtocols(c, "GET", u.String(), "v5.channel.k8s.io")
	},
	"v4": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutorForProtocols(c, "GET", u.String(), "v4.channel.k8s.io")
	},
}

type oneSize struct{ told bool }

func (o *oneSize) Next() *remotecommand.TerminalSize {
	if o.told {
		return nil
	}
	o.told = true
	return &remotecommand.TerminalSize{Width: 80, Height: 25}
}

func TestExec(t *testing.T) {
	t.Parallel()
	base := port(t)
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(query string, options remotecommand.StreamOptions) (string, string, error) {
				t.Helper()
				address, err := url.Parse(base + "/exec/ns/pod/c?" + query)
				if err != nil {
					t.Fatal(err)
				}
				executor, err := client(insecure(base), address)
				if err != nil {
					t.Fatal(err)
				}
				var out, errs bytes.Buffer
				options.Stdout = &out
				if strings.Contains(query, "error=1") {
					options.Stderr = &errs
				}
				err = executor.StreamWithContext(t.Context(), options)
				return out.String(), errs.String(), err
			}
			if out, errs, err := run("command=both&output=1&error=1", remotecommand.StreamOptions{}); err != nil || out != "container-id" || errs != "to stderr" {
				t.Errorf("both: %q, %q, %v", out, errs, err)
			}
			var exit exec.CodeExitError
			if _, _, err := run("command=exit&output=1", remotecommand.StreamOptions{}); !errors.As(err, &exit) || exit.Code != 7 {
				t.Errorf("exit: %v", err)
			}
			if out, _, err := run("command=size&output=1&tty=1", remotecommand.StreamOptions{Tty: true, TerminalSizeQueue: &oneSize{}}); err != nil || out != "80x25" {
				t.Errorf("size: %q, %v", out, err)
			}
			if name == "v4" {
				return // it cannot close stdin
			}
			long := strings.Repeat("0123456789", 50_000)
			if out, _, err := run("command=cat&input=1&output=1", remotecommand.StreamOptions{Stdin: strings.NewReader(long)}); err != nil || out != long {
				t.Errorf("cat: %d bytes, %v", len(out), err)
			}
		})
	}
}

func TestAttachAndRun(t *testing.T) {
	t.Parallel()
	base := port(t)
	address, err := url.Parse(base + "/attach/ns/pod/uid/c?output=1")
	if err != nil {
		t.Fatal(err)
	}
	executor, err := clients["v5"](insecure(base), address)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &out}); err != nil || out.String() != "attached to container-id" {
		t.Errorf("%q, %v", out.String(), err)
	}
	client, err := rest.HTTPClientFor(insecure(""))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Post(base+"/run/ns/pod/c?cmd=echo+hello", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if data, err := io.ReadAll(response.Body); err != nil || string(data) != "echo hello" {
		t.Errorf("run: %q, %v", data, err)
	}
	for path, want := range map[string]int{
		"/exec/ns/none/c?output=1": 404, "/exec/ns/pod/c": 400, "/exec/ns/pod/c?output=1": 400, "/exec/ns/pod/x?output=1": 500, "/exec/ns/pod/other/c?output=1": 404,
	} {
		if got, text := get(t, base+path); got != want {
			t.Errorf("%s: %d %s, want %d", path, got, text, want)
		}
	}
}

func TestPortForward(t *testing.T) {
	t.Parallel()
	base := port(t)
	address, err := url.Parse(base + "/portForward/ns/pod")
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(insecure(base))
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(address, insecure(base))
	if err != nil {
		t.Fatal(err)
	}
	plain := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", address)
	stop := make(chan struct{})
	defer close(stop)
	check := func(name string, forwarder *portforward.PortForwarder, err error, ready chan struct{}) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 1)
		go func() { failed <- forwarder.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-failed:
			t.Fatalf("%s: %v", name, err)
		}
		ports, err := forwarder.GetPorts()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "hello")
		if data, err := io.ReadAll(conn); err != nil || string(data) != "8080 hello" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(plain, []string{"127.0.0.1"}, []string{":8080"}, stop, ready, io.Discard, io.Discard)
	check("SPDY", forwarder, err, ready)
	ready = make(chan struct{})
	forwarder, err = portforward.NewOnAddresses(tunnel, []string{"127.0.0.1"}, []string{":8080"}, stop, ready, io.Discard, io.Discard)
	check("tunnel", forwarder, err, ready)
}

func TestLooking(t *testing.T) {
	t.Parallel()
	base := port(t)
	for path, want := range map[string]string{
		"/containerLogs/ns/pod/c":                "one\ntwo\n",
		"/containerLogs/ns/pod/c?tailLines=1":    "two\n",
		"/containerLogs/ns/pod/c?stream=Stdout":  "one\n",
		"/containerLogs/ns/pod/c?tailLines=x":    "Invalid request",
		"/containerLogs/ns/pod/c?follow=perhaps": "Unable to decode query: follow",
		"/containerLogs/ns/pod/c?previous=true":  `previous terminated container "c" in pod "pod" not found`,
		"/containerLogs/ns/pod/other":            `container "other" not found in pod "pod"`,
		"/containerLogs/ns/none/c":               `pod "none" does not exist`,
		"/configz":                               `{"kubeletconfig":{"port":10250}}`,
		"/metrics/resource":                      `container_memory_working_set_bytes{container="c",namespace="ns",pod="pod"} 4096`,
		"/runningpods/":                          `"kind":"PodList"`,
		"/stats/summary":                         `"nodeName":"node"`,
	} {
		if _, got := get(t, base+path); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	_, text := get(t, base+"/pods")
	var list corev1.PodList
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 || list.Kind != "PodList" {
		t.Errorf("pods: %s (%v)", text, err)
	}
}

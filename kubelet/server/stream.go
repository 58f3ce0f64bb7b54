package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/septet-io/septet/kubelet/server/bridge"
)

// find returns the Pod that a path names, or writes 404.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (*corev1.Pod, bool) {
	pod, ok := s.config.Agent.Pod(r.PathValue("namespace"), r.PathValue("pod"), types.UID(r.PathValue("uid")))
	if !ok {
		http.Error(w, "pod does not exist", http.StatusNotFound)
	}
	return pod, ok
}

// container returns the running container that a path names, or writes why there is none.
func (s *Server) container(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	pod, ok := s.find(w, r)
	if !ok {
		return "", false
	}
	id, err := s.config.Agent.ContainerID(r.Context(), pod, r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return "", false
	}
	return id, true
}

// streamOptions are which of a container's streams are wanted.
type streamOptions struct{ stdin, stdout, stderr, tty bool }

func optionsOf(query url.Values) (streamOptions, error) {
	is := func(name string) bool { return query.Get(name) == "1" || query.Get(name) == "true" }
	o := streamOptions{stdin: is("input"), stdout: is("output"), stderr: is("error"), tty: is("tty")}
	if o.tty {
		o.stderr = false // a terminal has one output
	}
	if !o.stdin && !o.stdout && !o.stderr {
		return o, fmt.Errorf("you must specify at least 1 of stdin, stdout, stderr")
	}
	return o, nil
}

// begin checks what exec and attach have in common.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) (id string, o streamOptions, ok bool) {
	o, err := optionsOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return "", o, false
	}
	id, ok = s.container(w, r)
	return id, o, ok
}

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	id, o, ok := s.begin(w, r)
	if !ok {
		return
	}
	address, err := s.config.Streams.Exec(r.Context(), &runtimeapi.ExecRequest{
		ContainerId: id, Cmd: r.URL.Query()["command"], Stdin: o.stdin, Stdout: o.stdout, Stderr: o.stderr, Tty: o.tty,
	})
	s.connect(w, r, address, err, bridge.Streams{Stdin: o.stdin, Stdout: o.stdout, Stderr: o.stderr, TTY: o.tty})
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	id, o, ok := s.begin(w, r)
	if !ok {
		return
	}
	address, err := s.config.Streams.Attach(r.Context(), &runtimeapi.AttachRequest{
		ContainerId: id, Stdin: o.stdin, Stdout: o.stdout, Stderr: o.stderr, Tty: o.tty,
	})
	s.connect(w, r, address, err, bridge.Streams{Stdin: o.stdin, Stdout: o.stdout, Stderr: o.stderr, TTY: o.tty})
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	pod, ok := s.find(w, r)
	if !ok {
		return
	}
	ports, err := portsOf(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, err := s.config.Agent.SandboxID(r.Context(), pod)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	address, err := s.config.Streams.PortForward(r.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: id, Port: ports})
	s.connect(w, r, address, err, bridge.Streams{})
}

// portsOf reads the ports that a WebSocket names beforehand; SPDY names them stream by stream.
func portsOf(query url.Values) ([]int32, error) {
	var ports []int32
	for _, list := range append(slices.Clone(query["port"]), query["ports"]...) {
		for _, text := range strings.Split(list, ",") {
			port, err := strconv.ParseUint(text, 10, 16)
			if err != nil || port == 0 {
				return nil, fmt.Errorf("unable to parse %q as a port", text)
			}
			ports = append(ports, int32(port))
		}
	}
	return ports, nil
}

// connect joins the client with the runtime's streaming server.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, address string, err error, streams bridge.Streams) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	target, err := url.Parse(address)
	if err != nil {
		http.Error(w, fmt.Sprintf("streaming address of the runtime: %v", err), http.StatusInternalServerError)
		return
	}
	bridge.Connect(w, r, target, streams)
}

// run executes a command to its end and answers with its output.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	id, ok := s.container(w, r)
	if !ok {
		return
	}
	response, err := s.config.Streams.ExecSync(r.Context(), id, strings.Fields(r.URL.Query().Get("cmd")), 0)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	output := append(response.Stdout, response.Stderr...)
	if response.ExitCode != 0 {
		http.Error(w, fmt.Sprintf("command terminated with exit code %d: %s", response.ExitCode, output), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if _, err := w.Write(output); err != nil {
		return // the client has gone
	}
}

package connect

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/proxy"

	"github.com/septet-io/septet/apiserver/admission"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
)

// exec runs a command in a container: SPDY or WebSocket, which the kubelet speaks too.
func (c *connector) exec(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	q := request.Query(r)
	options := &corev1.PodExecOptions{
		Stdin: truth(q, "stdin"), Stdout: truth(q, "stdout"), Stderr: truth(q, "stderr"), TTY: truth(q, "tty"),
		Container: q.Get("container"), Command: q["command"],
	}
	if len(options.Command) == 0 {
		return apierrors.NewBadRequest("you must specify at least one command for the container")
	}
	s := streams{options.Stdin, options.Stdout, options.Stderr, options.TTY}
	return c.toContainer(w, r, conn, "exec", "PodExecOptions", options, options.Container, s, url.Values{"command": options.Command})
}

// attach connects to a container's own process.
func (c *connector) attach(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	q := request.Query(r)
	options := &corev1.PodAttachOptions{
		Stdin: truth(q, "stdin"), Stdout: truth(q, "stdout"), Stderr: truth(q, "stderr"), TTY: truth(q, "tty"),
		Container: q.Get("container"),
	}
	s := streams{options.Stdin, options.Stdout, options.Stderr, options.TTY}
	return c.toContainer(w, r, conn, "attach", "PodAttachOptions", options, options.Container, s, url.Values{})
}

// streams are those that a client wants.
type streams struct{ stdin, stdout, stderr, tty bool }

// query is the kubelet's form of them. At least one stream is needed.
func (s streams) query(into url.Values) error {
	set := map[string]bool{"input": s.stdin, "output": s.stdout, "error": s.stderr, "tty": s.tty}
	if !s.stdin && !s.stdout && !s.stderr {
		return apierrors.NewBadRequest("you must specify at least one of stdin, stdout, stderr")
	}
	for name, on := range set {
		if on {
			into.Set(name, "1")
		}
	}
	return nil
}

func (c *connector) toContainer(w http.ResponseWriter, r *http.Request, conn *rest.Connection, path, kind string, options runtime.Object, container string, s streams, query url.Values) error {
	if err := allowMethods(r, conn, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	if err := admit(r, conn, kind, options); err != nil {
		return err
	}
	pod, location, err := c.podLocation(r, conn)
	if err != nil {
		return err
	}
	if container, err = containerOf(pod, container); err != nil {
		return err
	}
	if err := s.query(query); err != nil {
		return err
	}
	location.Path = strings.Join([]string{"", path, pod.Namespace, pod.Name, container}, "/")
	location.RawQuery = query.Encode()
	c.upgrade(w, r, location)
	return nil
}

// portForward connects to ports of a Pod.
func (c *connector) portForward(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	if err := allowMethods(r, conn, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	options := &corev1.PodPortForwardOptions{}
	query := url.Values{}
	for _, list := range request.Query(r)["ports"] {
		for _, port := range strings.Split(list, ",") {
			number, err := portNumber(port)
			if err != nil {
				return err
			}
			options.Ports = append(options.Ports, number)
			query.Add("port", port)
		}
	}
	if err := admit(r, conn, "PodPortForwardOptions", options); err != nil {
		return err
	}
	pod, location, err := c.podLocation(r, conn)
	if err != nil {
		return err
	}
	location.Path = strings.Join([]string{"", "portForward", pod.Namespace, pod.Name}, "/")
	location.RawQuery = query.Encode()
	c.upgrade(w, r, location)
	return nil
}

// admit lets admission see a connection.
func admit(r *http.Request, conn *rest.Connection, kind string, options runtime.Object) error {
	return conn.Resource.Admit(r, &admission.Attributes{
		Operation: admission.Connect, Kind: schema.GroupVersionKind{Version: "v1", Kind: kind}, Object: options,
	})
}

// podLocation finds the Pod and its kubelet. A Pod without a node is BadRequest.
func (c *connector) podLocation(r *http.Request, conn *rest.Connection) (*corev1.Pod, *url.URL, error) {
	pod, err := get[*corev1.Pod](r.Context(), c, podsResource, conn.Key, "")
	if err != nil {
		return nil, nil, err
	}
	if pod.Spec.NodeName == "" {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	location, err := c.kubeletURL(r.Context(), pod.Spec.NodeName)
	return pod, location, err
}

// containerOf checks a container's name, or finds the only one there is.
func containerOf(pod *corev1.Pod, name string) (string, error) {
	names := func(containers []corev1.Container) []string {
		var all []string
		for i := range containers {
			all = append(all, containers[i].Name)
		}
		return all
	}
	containers, inits := names(pod.Spec.Containers), names(pod.Spec.InitContainers)
	var ephemeral []string
	for i := range pod.Spec.EphemeralContainers {
		ephemeral = append(ephemeral, pod.Spec.EphemeralContainers[i].Name)
	}
	if name == "" {
		switch len(containers) {
		case 1:
			return containers[0], nil
		case 0:
			return "", apierrors.NewBadRequest("a container name must be specified for pod " + pod.Name)
		}
		text := fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", pod.Name, containers)
		if len(inits) > 0 {
			text += fmt.Sprintf(" or one of the init containers: %v", inits)
		}
		if len(ephemeral) > 0 {
			text += fmt.Sprintf(" or one of the ephemeral containers: %v", ephemeral)
		}
		return "", apierrors.NewBadRequest(text)
	}
	if !slices.Contains(slices.Concat(containers, inits, ephemeral), name) {
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	return name, nil
}

// upgrade passes a connection through to a kubelet, which must agree to switch protocols.
func (c *connector) upgrade(w http.ResponseWriter, r *http.Request, location *url.URL) {
	handler := proxy.NewUpgradeAwareHandler(location, c.kubelets(), false, true, errorResponder{})
	handler.MaxBytesPerSec = c.BytesPerSecond
	handler.ServeHTTP(w, r)
}

// errorResponder answers what went wrong on the way as a Status.
type errorResponder struct{}

// Error is proxy.ErrorResponder.
func (errorResponder) Error(w http.ResponseWriter, r *http.Request, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		err = apierrors.NewInternalError(err)
	}
	request.Error(w, r, err)
}

// truth reads a boolean option in the way of the API: present is true, unless it says false or 0.
func truth(q url.Values, name string) bool {
	values, present := q[name]
	return present && len(values) > 0 && values[0] != "false" && values[0] != "0"
}

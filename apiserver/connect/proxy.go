package connect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"

	"github.com/septet-io/septet/apiserver/backend"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

// target is [scheme:]name[:port], as it stands in a proxy URL.
type target struct{ scheme, name, port string }

func parseTarget(text, kind string) (target, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(text)
	if !valid {
		return target{}, apierrors.NewBadRequest(fmt.Sprintf("invalid %s request %q", kind, text))
	}
	return target{scheme, name, port}, nil
}

// proxyPod passes requests on to a Pod's address.
func (c *connector) proxyPod(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	t, err := parseTarget(conn.Key.Name, "pod")
	if err != nil {
		return err
	}
	if err := admit(r, conn, "PodProxyOptions", &corev1.PodProxyOptions{Path: conn.Rest}); err != nil {
		return err
	}
	pod, err := get[*corev1.Pod](r.Context(), c, podsResource, store.Key{Namespace: conn.Key.Namespace, Name: t.name}, "")
	if err != nil {
		return err
	}
	if err := mayProxyTo(pod.Status.PodIP); err != nil {
		return err
	}
	host := pod.Status.PodIP
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := podPort(pod, t.port); port != "" {
		host = net.JoinHostPort(pod.Status.PodIP, port)
	}
	return c.pass(w, r, conn, &url.URL{Scheme: t.scheme, Host: host}, c.pods())
}

// podPort is the port that is named, or the first that the Pod declares.
func podPort(pod *corev1.Pod, wanted string) string {
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if wanted == "" || wanted == port.Name {
				return strconv.Itoa(int(port.ContainerPort))
			}
		}
	}
	return wanted
}

// proxyNode passes requests on to a kubelet, or to another port of its node.
func (c *connector) proxyNode(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	t, err := parseTarget(conn.Key.Name, "node")
	if err != nil {
		return err
	}
	if err := admit(r, conn, "NodeProxyOptions", &corev1.NodeProxyOptions{Path: conn.Rest}); err != nil {
		return err
	}
	location, err := c.kubeletURL(r.Context(), t.name)
	if err != nil {
		return err
	}
	if t.port == "" || t.port == location.Port() {
		return c.pass(w, r, conn, location, c.kubelets())
	}
	if err := mayProxyToName(r.Context(), location.Hostname()); err != nil {
		return err
	}
	return c.pass(w, r, conn, &url.URL{Scheme: t.scheme, Host: net.JoinHostPort(location.Hostname(), t.port)}, c.pods())
}

// proxyService passes requests on to one of a Service's endpoints.
func (c *connector) proxyService(w http.ResponseWriter, r *http.Request, conn *rest.Connection) error {
	t, err := parseTarget(conn.Key.Name, "service")
	if err != nil {
		return err
	}
	if err := admit(r, conn, "ServiceProxyOptions", &corev1.ServiceProxyOptions{Path: conn.Rest}); err != nil {
		return err
	}
	key := store.Key{Namespace: conn.Key.Namespace, Name: t.name}
	service, err := get[*corev1.Service](r.Context(), c, servicesResource, key, "")
	if err != nil {
		return err
	}
	port, err := backend.Port(service, t.port)
	if err != nil {
		return err
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", t.name))
	}
	hosts, err := backend.Ready(r.Context(), c.resources, key, port)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", t.name))
	}
	host := hosts[rand.IntN(len(hosts))]
	if err := mayProxyTo(strings.Trim(host[:strings.LastIndexByte(host, ':')], "[]")); err != nil {
		return err
	}
	return c.pass(w, r, conn, &url.URL{Scheme: t.scheme, Host: host}, c.pods())
}

// mayProxyTo keeps clients from reaching what only this machine itself should reach.
func mayProxyTo(host string) error {
	if host == "" {
		return apierrors.NewServiceUnavailable("address not allowed: there is none yet")
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return apierrors.NewBadRequest("address not allowed")
	}
	if address.IsLoopback() || address.IsUnspecified() || address.IsMulticast() || address.IsLinkLocalUnicast() || address.IsInterfaceLocalMulticast() {
		return apierrors.NewBadRequest("address not allowed")
	}
	return nil
}

// mayProxyToName is mayProxyTo for a node, which may be known by a name: all that the name stands for must be allowed.
func mayProxyToName(ctx context.Context, host string) error {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return mayProxyTo(host)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return apierrors.NewServiceUnavailable(err.Error())
	}
	for _, address := range found {
		if err := mayProxyTo(address.String()); err != nil {
			return err
		}
	}
	return nil
}

// pass hands a request on and rewrites links in the answer, so that they lead through the proxy again.
func (c *connector) pass(w http.ResponseWriter, r *http.Request, conn *rest.Connection, location *url.URL, transport http.RoundTripper) error {
	if location.Scheme == "" {
		location.Scheme = "http"
	}
	inside := conn.Rest
	prefix := strings.TrimSuffix(request.From(r.Context()).Path, inside)
	location.Path = "/" + strings.TrimPrefix(inside, "/")
	location.RawPath = escapedBehind(r.URL.EscapedPath(), strings.Count(strings.TrimSuffix(prefix, "/"), "/"))
	if unescaped, err := url.PathUnescape(location.RawPath); err != nil || unescaped != location.Path {
		location.RawPath = ""
	}
	if inside == "" && !strings.HasSuffix(r.URL.Path, "/") {
		location.Path, location.RawPath = "", "" // for which the handler sends readers to the path with a slash, so that relative links hold
	}
	location.RawQuery = r.URL.RawQuery
	// Without a scheme and a host links stay paths, which hold whatever the client called this server.
	rewriting := &proxy.Transport{PathPrepend: strings.TrimSuffix(prefix, "/"), RoundTripper: transport}
	handler := proxy.NewUpgradeAwareHandler(location, rewriting, false, false, errorResponder{})
	handler.MaxBytesPerSec = c.BytesPerSecond
	handler.UpgradeTransport = proxy.NewUpgradeRequestRoundTripper(transport, rewriting)
	handler.ServeHTTP(w, r)
	return nil
}

// escapedBehind returns what stands behind a number of segments of a path, as the client escaped it.
func escapedBehind(path string, segments int) string {
	for range segments + 1 {
		at := strings.IndexByte(path, '/')
		if at < 0 {
			return "/"
		}
		path = path[at+1:]
	}
	return "/" + path
}

package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientrest "k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/apiserver"
	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/daemon"
	"github.com/septet-io/septet/pki"
)

// extension is another API server of the group wardle.example.com, on a loopback port with TLS: it knows users by the headers of a
// proxy that shows a certificate of the front-proxy authority, as real ones do.
type extension struct {
	*httptest.Server
	ca   *pki.Authority // of its serving certificate
	lock sync.Mutex
	// last is guarded by lock: the headers of the last request for a flunder.
	last http.Header
}

const (
	wardleGroup    = "wardle.example.com"
	wardlePath     = "/apis/" + wardleGroup + "/v1alpha1"
	wardleResource = `{"resource":"flunders","responseKind":{"group":"","version":"","kind":"Flunder"},"scope":"Namespaced","singularResource":"flunder","verbs":["get","list","watch"]}`
)

// serve is what the extension has.
func (e *extension) serve(w http.ResponseWriter, r *http.Request) {
	answer := func(body string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
	switch r.URL.Path {
	case "/apis":
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		_, _ = fmt.Fprintf(w, `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[{"metadata":{"name":%q},"versions":[{"version":"v1alpha1","resources":[%s]}]}]}`, wardleGroup, wardleResource)
	case wardlePath:
		answer(`{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"wardle.example.com/v1alpha1","resources":[{"name":"flunders","singularName":"flunder","namespaced":true,"kind":"Flunder","verbs":["get","list","watch"]}]}`)
	case "/openapi/v3":
		answer(`{"paths":{"apis/wardle.example.com/v1alpha1":{"serverRelativeURL":"/openapi/v3/apis/wardle.example.com/v1alpha1?hash=1"},"version":{"serverRelativeURL":"/openapi/v3/version?hash=1"}}}`)
	case "/openapi/v3" + wardlePath:
		answer(`{"openapi":"3.0.0","info":{"title":"wardle","version":"1"},"paths":{}}`)
	case "/openapi/v2":
		answer(`{"swagger":"2.0","info":{"title":"wardle","version":"1"},"paths":{"` + wardlePath + `/flunders":{"get":{"responses":{"200":{"description":"OK","schema":{"$ref":"#/definitions/Flunder"}}}}},"/other/":{"get":{"responses":{"200":{"description":"OK"}}}}},"definitions":{"Flunder":{"type":"object"}}}`)
	case wardlePath + "/flunders":
		if r.URL.Query().Get("watch") != "" {
			e.watch(w, r)
			return
		}
		e.lock.Lock()
		e.last = r.Header.Clone()
		e.lock.Unlock()
		answer(`{"kind":"FlunderList","apiVersion":"wardle.example.com/v1alpha1","metadata":{},"items":[]}`)
	case wardlePath + "/flunders/elsewhere":
		http.Redirect(w, r, "https://example.com/", http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

// watch sends one event, over a WebSocket if asked so, and then nothing until the client goes away.
func (e *extension) watch(w http.ResponseWriter, r *http.Request) {
	const event = `{"type":"ADDED","object":{"kind":"Flunder"}}`
	if websocket.IsWebSocketUpgrade(r) {
		upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.WriteMessage(websocket.TextMessage, []byte(event+r.Header.Get("X-Remote-User")))
		_, _, _ = conn.ReadMessage()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, event+"\n")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// startExtension runs an extension that trusts the given front-proxy authority.
func startExtension(t *testing.T, frontProxy *pki.Authority) *extension {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "wardle")
	if err != nil {
		t.Fatal(err)
	}
	serving, err := ca.TLS(pki.Leaf{CommonName: "api.wardle.svc", Hosts: []string{"api.wardle.svc"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	e := &extension{ca: ca}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	proxies := x509.NewCertPool()
	proxies.AddCert(frontProxy.Certificate)
	e.TLS = &tls.Config{Certificates: []tls.Certificate{serving}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: proxies}
	e.EnableHTTP2 = true
	e.StartTLS()
	t.Cleanup(e.Close)
	return e
}

// aggregating is a server that reaches every Service endpoint at the extension, whatever its address.
func aggregating(t *testing.T) (*Server, *extension) {
	t.Helper()
	dir := t.TempDir()
	frontProxy, err := pki.LoadOrCreateAuthority(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), "front-proxy")
	if err != nil {
		t.Fatal(err)
	}
	identity, err := frontProxy.TLS(pki.Leaf{CommonName: "front-proxy-client", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	e := startExtension(t, frontProxy)
	s := StartComplete(t, func(c *apiserver.Standard) {
		c.Aggregation = apiserver.Aggregation{
			Identity:    func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &identity, nil },
			ToEndpoints: true,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, e.Listener.Addr().String())
			},
		}
	})
	return s, e
}

// condition is the reason and message of an APIService's condition Available.
func (s *Server) condition(name string) (reason, message string) {
	var obj apiregistrationv1.APIService
	if err := json.Unmarshal([]byte(s.Do("GET", "/apis/apiregistration.k8s.io/v1/apiservices/"+name, "").Body), &obj); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range obj.Status.Conditions {
		if c.Type == apiregistrationv1.Available {
			return c.Reason, c.Message
		}
	}
	return "", ""
}

// eventually waits until what is looked at is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		t.Fatalf("%s: not within a minute", what)
	}
}

const wardleService = `{"kind":"APIService","apiVersion":"apiregistration.k8s.io/v1","metadata":{"name":"v1alpha1.wardle.example.com"},"spec":{
	"group":"wardle.example.com","version":"v1alpha1","groupPriorityMinimum":17650,"versionPriority":15,"caBundle":%s,
	"service":{"namespace":"wardle","name":"api","port":7443}}}`

// register makes the APIService, Service and endpoints of the extension.
func (s *Server) register(e *extension) {
	s.t.Helper()
	s.Namespace("wardle")
	ca, err := json.Marshal(e.ca.PEM)
	if err != nil {
		s.t.Fatal(err)
	}
	body := fmt.Sprintf(wardleService, ca)
	if a := s.Do("POST", "/apis/apiregistration.k8s.io/v1/apiservices", body); a.Code != 201 {
		s.t.Fatal(a.Body)
	}
}

func (s *Server) service() {
	s.t.Helper()
	_, err := s.Client().CoreV1().Services("wardle").Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 7443}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) endpoints(ready bool) {
	s.t.Helper()
	name, port := "https", int32(8443)
	_, err := s.Client().DiscoveryV1().EndpointSlices("wardle").Create(context.Background(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{GenerateName: "api-", Labels: map[string]string{discoveryv1.LabelServiceName: "api"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.10"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestAnotherServerServesAGroupVersion from the moment when it is there, for as long as its APIService is.
//
// conformance: aggregator-supports-the-sample-apiserver
// conformance: Aggregated Discovery Interface
func TestAnotherServerServesAGroupVersion(t *testing.T) {
	t.Parallel()
	s, e := aggregating(t)
	const name = "v1alpha1.wardle.example.com"
	reasonIs := func(want string) func() bool {
		return func() bool { reason, _ := s.condition(name); return reason == want }
	}
	s.register(e)
	eventually(t, "no Service", reasonIs("ServiceNotFound"))
	if _, message := s.condition(name); message != `service/api in "wardle" is not present` {
		t.Error(message)
	}
	if a := s.Do("GET", wardlePath+"/flunders", ""); a.Code != 503 || a.Body != "service unavailable\n" {
		t.Errorf("without a server: %d %s", a.Code, a.Body)
	}
	s.service()
	eventually(t, "no endpoints", reasonIs("EndpointsNotFound"))
	s.endpoints(false)
	eventually(t, "no ready endpoints", reasonIs("MissingEndpoints"))
	s.endpoints(true)
	eventually(t, "available", reasonIs("Passed"))

	if a := s.Do("GET", wardlePath+"/flunders", "", "X-Remote-User", "mallory", "X-Remote-Extra-Scope", "all", "X-Remote-Group", "system:masters"); a.Object(t)["kind"] != "FlunderList" {
		t.Errorf("a request that is passed on: %d %s", a.Code, a.Body)
	}
	e.lock.Lock()
	last := e.last
	e.lock.Unlock()
	if last.Get("X-Remote-User") != "admin" || !slices.Equal(last.Values("X-Remote-Group"), []string{"system:masters"}) || last.Get("X-Remote-Extra-Scope") != "" || last.Get("Audit-Id") == "" {
		t.Errorf("headers: %v", last)
	}
	if a := s.Do("GET", wardlePath+"/flunders", "", "Via", last.Get("Via")); a.Code != http.StatusLoopDetected {
		t.Errorf("a request that came back: %d", a.Code)
	}
	if a := s.Do("GET", wardlePath+"/flunders/elsewhere", ""); a.Code != 502 || !strings.Contains(a.Body, "attempted to redirect") {
		t.Errorf("a redirect: %d %s", a.Code, a.Body)
	}
	s.discovers(t)
	s.watches(t)
	if a := s.Do("DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/"+name, ""); a.Code != 200 {
		t.Fatal(a.Body)
	}
	eventually(t, "gone", func() bool { return s.Do("GET", wardlePath, "").Code == 404 })
}

// discovers finds the extension's group in all documents.
func (s *Server) discovers(t *testing.T) {
	t.Helper()
	if a := s.Do("GET", "/apis/"+wardleGroup, ""); a.Code != 200 || !strings.Contains(a.Body, `"preferredVersion":{"groupVersion":"wardle.example.com/v1alpha1"`) {
		t.Errorf("group: %d %s", a.Code, a.Body)
	}
	if a := s.Do("GET", wardlePath, ""); !strings.Contains(a.Body, `"name":"flunders"`) {
		t.Errorf("version: %d %s", a.Code, a.Body)
	}
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	eventually(t, "aggregated discovery", func() bool {
		return strings.Contains(s.Do("GET", "/apis", "", "Accept", aggregated).Body, `"versions":[{"version":"v1alpha1","resources":[`+wardleResource+`],"freshness":"Current"}]`)
	})
	groups := s.Do("GET", "/apis", "").Body
	if authorization, wardle, autoscaling := strings.Index(groups, `"authentication.k8s.io"`), strings.Index(groups, `"wardle.example.com"`), strings.Index(groups, `"authorization.k8s.io"`); authorization > wardle || wardle > autoscaling {
		t.Errorf("the group does not stand where its priority puts it: %s", groups)
	}
	if index := s.Do("GET", "/openapi/v3", "").Body; !strings.Contains(index, `/openapi/v3/apis/wardle.example.com/v1alpha1?hash=1`) {
		t.Errorf("OpenAPI v3: %s", index)
	}
	if a := s.Do("GET", "/openapi/v3"+wardlePath, ""); !strings.Contains(a.Body, `"title":"wardle"`) {
		t.Errorf("OpenAPI v3 document: %d %s", a.Code, a.Body)
	}
	paths := s.Do("GET", "/openapi/v2", "").Object(t)["paths"].(map[string]any)
	if paths[wardlePath+"/flunders"] == nil || paths["/api/v1/pods"] == nil || paths["/other/"] != nil {
		t.Error("OpenAPI v2 does not hold exactly what is the group's, beside this server's own")
	}
}

// watches streams events through the proxy, as a body and over a WebSocket.
func (s *Server) watches(t *testing.T) {
	t.Helper()
	config := s.As("jane", "system:masters")
	client, err := clientrest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.URL+wardlePath+"/flunders?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var event metav1.WatchEvent
	if err := json.NewDecoder(answer.Body).Decode(&event); err != nil || event.Type != "ADDED" {
		t.Errorf("watch: %v %v", event, err)
	}
	dialer := websocket.Dialer{}
	if dialer.TLSClientConfig, err = clientrest.TLSConfigFor(config); err != nil {
		t.Fatal(err)
	}
	dialer.TLSClientConfig.NextProtos = nil
	conn, _, err := dialer.Dial("wss"+strings.TrimPrefix(s.URL, "https")+wardlePath+"/flunders?watch=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, message, err := conn.ReadMessage(); err != nil || !strings.HasSuffix(string(message), "jane") {
		t.Errorf("WebSocket: %s %v", message, err)
	}
}

// TestGroupVersionsServedHereHaveAPIServices of upstream's priorities, which a person may change until the server's next start.
func TestGroupVersionsServedHereHaveAPIServices(t *testing.T) {
	t.Parallel()
	s := StartComplete(t)
	eventually(t, "registered", func() bool { return s.Do("GET", "/readyz/autoregister-completion", "").Code == 200 })
	var list apiregistrationv1.APIServiceList
	if err := json.Unmarshal([]byte(s.Do("GET", "/apis/apiregistration.k8s.io/v1/apiservices", "").Body), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, one := range list.Items {
		got[one.Name] = fmt.Sprint(one.Spec.GroupPriorityMinimum, one.Spec.VersionPriority, one.Labels["kube-aggregator.kubernetes.io/automanaged"], one.Status.Conditions[0].Reason)
	}
	for name, want := range map[string]string{
		"v1.": "18000 1onstartLocal", "v1.apps": "17800 15onstartLocal", "v2.autoscaling": "17500 30onstartLocal", "v1.resource.k8s.io": "16200 21onstartLocal",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if got["v1.apiregistration.k8s.io"] != "" {
		t.Error("the group of APIServices has one itself")
	}
}

// TestASeptetServerCanBeTheOtherServer since it knows users by a proxy's headers, too.
func TestASeptetServerCanBeTheOtherServer(t *testing.T) {
	t.Parallel()
	other := StartComplete(t, func(c *apiserver.Standard) {
		// The tests' own authority stands for the front-proxy authority.
		c.Header = &authn.Header{User: []string{"X-Remote-User"}, Group: []string{"X-Remote-Group"}, UID: []string{"X-Remote-Uid"}, ExtraPrefix: []string{"X-Remote-Extra-"}}
		c.Header.AllowedNames = []string{"front-proxy-client"}
		c.Header.Roots = (&daemon.Authorities{File: c.ClientCAFile}).Pool
	})
	identity, err := other.CA.TLS(pki.Leaf{CommonName: "front-proxy-client", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	s := StartComplete(t, func(c *apiserver.Standard) {
		c.Aggregation.Identity = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &identity, nil }
		c.Aggregation.ToEndpoints = true
		c.Aggregation.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(other.URL, "https://"))
		}
	})
	other.Namespace("wardle")
	other.Do("POST", "/apis/batch/v1/namespaces/wardle/cronjobs", `{"metadata":{"name":"there"},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}}`)
	s.Namespace("wardle")
	s.service()
	s.endpoints(true)
	eventually(t, "registered", func() bool { return s.Do("GET", "/readyz/autoregister-completion", "").Code == 200 })
	a := s.Do("PATCH", "/apis/apiregistration.k8s.io/v1/apiservices/v1.batch",
		`{"spec":{"insecureSkipTLSVerify":true,"service":{"namespace":"wardle","name":"api","port":7443}}}`, "Content-Type", "application/merge-patch+json")
	if a.Code != 200 {
		t.Fatal(a.Body)
	}
	eventually(t, "jobs of the other server", func() bool {
		return strings.Contains(s.Do("GET", "/apis/batch/v1/namespaces/wardle/cronjobs", "").Body, `"name":"there"`)
	})
	// The other server knows who asks: somebody without rights there is refused by it.
	jane := s.InProcess("jane", "system:masters")
	if _, err := jane.BatchV1().CronJobs("wardle").Get(context.Background(), "there", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

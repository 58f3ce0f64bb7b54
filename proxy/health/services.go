package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Local is what is told about one Service.
type Local struct {
	// Port is its healthCheckNodePort; Endpoints are how many ready ones are on this node.
	Port      uint16
	Endpoints int
}

// Services answers on the healthCheckNodePorts of Services with the external traffic policy Local.
type Services struct {
	// Node tells whether the proxy works.
	Node *Node
	// Addresses are where to listen; none is everywhere.
	Addresses []netip.Addr

	mu      sync.Mutex
	servers map[types.NamespacedName]*server
}

type server struct {
	name types.NamespacedName
	node *Node
	http *http.Server

	mu    sync.Mutex
	local Local
}

// Set tells about a Service; one without a port is no longer answered for. The error says why a port could not be opened; the next Set tries again.
func (s *Services) Set(name types.NamespacedName, local Local) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.servers[name]
	if have != nil && have.local.Port == local.Port {
		have.mu.Lock()
		have.local.Endpoints = local.Endpoints
		have.mu.Unlock()
		return nil
	}
	var err error
	if have != nil {
		err = have.http.Close()
		delete(s.servers, name)
	}
	if local.Port == 0 {
		return err
	}
	next, openErr := s.open(name, local)
	if openErr == nil {
		if s.servers == nil {
			s.servers = map[types.NamespacedName]*server{}
		}
		s.servers[name] = next
	}
	return errors.Join(err, openErr)
}

// Close stops answering for all.
func (s *Services) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, server := range s.servers {
		errs = append(errs, server.http.Close())
		delete(s.servers, name)
	}
	return errors.Join(errs...)
}

func (s *Services) open(name types.NamespacedName, local Local) (*server, error) {
	hosts := []string{""}
	if len(s.Addresses) > 0 {
		hosts = nil
		for _, address := range s.Addresses {
			hosts = append(hosts, address.String())
		}
	}
	next := &server{name: name, node: s.Node, local: local}
	next.http = &http.Server{Handler: next, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second}
	var listeners []net.Listener
	for _, host := range hosts {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(local.Port))))
		if err != nil {
			for _, open := range listeners {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("health check port of service %s: %w", name, err)
		}
		listeners = append(listeners, listener)
	}
	for _, listener := range listeners {
		go func() {
			// Serve ends with the listener, which Close closes; there is nobody to tell about anything else.
			_ = next.http.Serve(listener)
		}()
	}
	return next, nil
}

// ServeHTTP answers 200 if there are endpoints here and the proxy works.
func (s *server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	count := s.local.Endpoints
	s.mu.Unlock()
	healthy := s.node.Healthy()
	data, err := json.Marshal(map[string]any{
		"service":             map[string]string{"namespace": s.name.Namespace, "name": s.name.Name},
		"localEndpoints":      count,
		"serviceProxyHealthy": healthy,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(count))
	reply(w, count > 0 && healthy, data)
}

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/crd"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// customize prepares the server for custom resources. They are served as soon as Bootstrap runs.
func (o *opening) customize(s *Server) error {
	definitions, err := crd.New(crd.Config{
		Resources: &s.Resources, Env: s.env, Client: s.Loopback.Dynamic,
		Open: func(kind *resource.Kind, codec store.Codec) store.Store {
			options := store.Options{Kind: kind, Backend: s.backend, Codec: codec}
			if s.config.Encryption != nil {
				options.Transformer = s.config.Encryption.For(kind.GroupResource())
			}
			return s.stores.open(options)
		},
		Close:   func(kind *resource.Kind) { s.stores.close(kind, defaultRequestTimeout) },
		Resolve: o.clusterAddress,
	})
	if err != nil {
		return err
	}
	s.definitions = definitions
	s.Health.Check("poststarthook/crd-informer-synced", Ready, func(context.Context) error {
		if !definitions.Synced() {
			return errors.New("custom resources are not served yet")
		}
		return nil
	})
	return nil
}

// clusterAddress is where a port of a Service is reached.
func (o *opening) clusterAddress(ctx context.Context, namespace, name string, port int32) (string, error) {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	service, err := lookup[*corev1.Service](ctx, o, gvr, store.Key{Namespace: namespace, Name: name})
	if err != nil {
		return "", err
	}
	host := service.Spec.ClusterIP
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		host = service.Spec.ExternalName
	case host == "" || host == corev1.ClusterIPNone:
		return "", fmt.Errorf("service %s/%s has no cluster IP", namespace, name)
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
}

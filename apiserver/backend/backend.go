// Package backend finds where a Service can be reached by the server itself: for the proxy subresource, and for programs that the server
// asks (webhooks).
package backend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
)

var (
	services = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	slices   = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
)

// Port finds the name of the port that is asked for by name or number, or the first.
func Port(service *corev1.Service, wanted string) (string, error) {
	for _, port := range service.Spec.Ports {
		if wanted == "" || wanted == port.Name || wanted == strconv.Itoa(int(port.Port)) {
			return port.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %q found for service %q", wanted, service.Name))
}

// Ready are the addresses with ports of a Service's ready endpoints.
func Ready(ctx context.Context, resources *rest.Registry, service store.Key, port string) ([]string, error) {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name})
	page, err := resources.Get(slices).Open().List(ctx, store.Query{Namespace: service.Namespace, Labels: selector, ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, item := range page.Items {
		slice, ok := item.Object.(*discoveryv1.EndpointSlice)
		if !ok {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name != nil && *p.Name != port {
				continue
			}
			for i := range slice.Endpoints {
				if ready := slice.Endpoints[i].Conditions.Ready; (ready == nil || *ready) && len(slice.Endpoints[i].Addresses) > 0 {
					hosts = append(hosts, net.JoinHostPort(slice.Endpoints[i].Addresses[0], strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	return hosts, nil
}

// One returns where to connect to for a port of a Service: one of its ready endpoints, by chance. So it needs no kube-proxy beside it.
// Errors are NotFound and ServiceUnavailable.
func One(ctx context.Context, resources *rest.Registry, namespace, name string, port int32) (string, error) {
	key := store.Key{Namespace: namespace, Name: name}
	item, err := resources.Get(services).Open().Get(ctx, key, "0")
	if err != nil {
		if item, err = resources.Get(services).Open().Get(ctx, key, ""); err != nil {
			return "", err
		}
	}
	service := item.Object.(*corev1.Service)
	number := strconv.Itoa(int(port))
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(service.Spec.ExternalName, number), nil
	}
	named, err := Port(service, number)
	if err != nil {
		return "", err
	}
	hosts, err := Ready(ctx, resources, key, named)
	if err != nil {
		return "", err
	}
	if len(hosts) == 0 {
		return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	return hosts[rand.IntN(len(hosts))], nil
}

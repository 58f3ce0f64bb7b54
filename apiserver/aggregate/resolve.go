package aggregate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/septet-io/septet/apiserver/store"
)

var (
	servicesResource = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	slicesResource   = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}
)

// defaultPort of a Service that an APIService names.
const defaultPort = 443

func portOf(ref *apiregistrationv1.ServiceReference) int32 {
	if ref.Port == nil {
		return defaultPort
	}
	return *ref.Port
}

// resolve returns where the server behind a Service is reached.
func (a *Aggregator) resolve(ctx context.Context, ref *apiregistrationv1.ServiceReference) (*url.URL, error) {
	service, err := a.service(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !a.config.ToEndpoints {
		return clusterAddress(service, portOf(ref))
	}
	found, err := a.slices(ctx, ref)
	if err != nil {
		return nil, err
	}
	return endpointAddress(service, found, portOf(ref), rand.IntN)
}

// service reads a Service as it is at hand.
func (a *Aggregator) service(ctx context.Context, ref *apiregistrationv1.ServiceReference) (*corev1.Service, error) {
	item, err := a.config.Resources.Get(servicesResource).Open().Get(ctx, store.Key{Namespace: ref.Namespace, Name: ref.Name}, "0")
	if err != nil {
		return nil, err
	}
	return item.Object.(*corev1.Service), nil
}

// slices reads the endpoints of a Service.
func (a *Aggregator) slices(ctx context.Context, ref *apiregistrationv1.ServiceReference) ([]*discoveryv1.EndpointSlice, error) {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: ref.Name})
	page, err := a.config.Resources.Get(slicesResource).Open().List(ctx, store.Query{Namespace: ref.Namespace, Labels: selector, ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	found := make([]*discoveryv1.EndpointSlice, 0, len(page.Items))
	for _, item := range page.Items {
		found = append(found, item.Object.(*discoveryv1.EndpointSlice))
	}
	return found, nil
}

func at(host string, port int32) *url.URL {
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}
}

// clusterAddress is a Service's cluster IP, or the name of an external one.
func clusterAddress(service *corev1.Service, port int32) (*url.URL, error) {
	switch service.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return at(service.Spec.ExternalName, port), nil
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
	default:
		return nil, fmt.Errorf("unsupported service type %q", service.Spec.Type)
	}
	if service.Spec.ClusterIP == corev1.ClusterIPNone {
		return nil, fmt.Errorf(`cannot route to service with ClusterIP "None"`)
	}
	if _, err := servicePort(service, port); err != nil {
		return nil, err
	}
	return at(service.Spec.ClusterIP, port), nil
}

func servicePort(service *corev1.Service, port int32) (*corev1.ServicePort, error) {
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if i < 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, service.Name))
	}
	return &service.Spec.Ports[i], nil
}

// endpointAddress is one of a Service's ready endpoints, of its first IP family if there are any; pick chooses one of n.
func endpointAddress(service *corev1.Service, found []*discoveryv1.EndpointSlice, port int32, pick func(n int) int) (*url.URL, error) {
	switch service.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
	default:
		return nil, fmt.Errorf("unsupported service type %q", service.Spec.Type)
	}
	wanted, err := servicePort(service, port)
	if err != nil {
		return nil, err
	}
	var first, others []*url.URL
	for _, slice := range found {
		ready := readyAt(slice, wanted.Name)
		if len(service.Spec.IPFamilies) > 0 && slice.AddressType != discoveryv1.AddressType(service.Spec.IPFamilies[0]) {
			others = append(others, ready...)
		} else {
			first = append(first, ready...)
		}
	}
	if len(first) == 0 {
		first = others
	}
	if len(first) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", service.Name))
	}
	return first[pick(len(first))], nil
}

// readyAt are the addresses of a slice's ready endpoints at a port of that name.
func readyAt(slice *discoveryv1.EndpointSlice, name string) []*url.URL {
	i := slices.IndexFunc(slice.Ports, func(p discoveryv1.EndpointPort) bool { return p.Name != nil && *p.Name == name && p.Port != nil })
	if i < 0 {
		return nil
	}
	var ready []*url.URL
	for j := range slice.Endpoints {
		if e := &slice.Endpoints[j]; (e.Conditions.Ready == nil || *e.Conditions.Ready) && len(e.Addresses) > 0 {
			ready = append(ready, at(e.Addresses[0], *slice.Ports[i].Port))
		}
	}
	return ready
}

package connect

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/septet-io/septet/apiserver/store"
)

const defaultKubeletPort = 10250

// defaultAddressTypes is --kubelet-preferred-address-types, with the address that every node has first: looking
// up host names costs time where there is no DNS for them.
var defaultAddressTypes = []string{
	string(corev1.NodeInternalIP), string(corev1.NodeExternalIP), string(corev1.NodeInternalDNS), string(corev1.NodeExternalDNS), string(corev1.NodeHostName),
}

// dialTimeout bounds how long a connection to a kubelet or Pod may take to come about.
const dialTimeout = 30 * time.Second

func (c *connector) kubeletTransport() http.RoundTripper {
	config := &tls.Config{InsecureSkipVerify: true} // see Config.Kubelet
	if c.Kubelet != nil {
		config = c.Kubelet.Clone()
	}
	config.NextProtos = []string{"http/1.1"} // connections are upgraded, which HTTP/2 cannot
	return &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext, TLSClientConfig: config,
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
	}
}

// podTransport goes to Pods and Services, whose certificates nobody here could verify.
func podTransport() http.RoundTripper {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout: 10 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
	}
}

// kubeletURL is where the kubelet of a node is reached.
func (c *connector) kubeletURL(ctx context.Context, node string) (*url.URL, error) {
	object, err := get[*corev1.Node](ctx, c, nodesResource, store.Key{Name: node}, "0")
	if err != nil {
		return nil, err
	}
	address := c.addressOf(object)
	if address == "" {
		return nil, apierrors.NewBadRequest("no preferred addresses found; known addresses: " + addressList(object))
	}
	port := int(object.Status.DaemonEndpoints.KubeletEndpoint.Port)
	if port == 0 {
		port = cmp.Or(c.KubeletPort, defaultKubeletPort)
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(address, strconv.Itoa(port))}, nil
}

func (c *connector) addressOf(node *corev1.Node) string {
	types := c.AddressTypes
	if types == nil {
		types = defaultAddressTypes
	}
	for _, wanted := range types {
		for _, address := range node.Status.Addresses {
			if string(address.Type) == wanted {
				return address.Address
			}
		}
	}
	return ""
}

func addressList(node *corev1.Node) string {
	text := "["
	for i, address := range node.Status.Addresses {
		if i > 0 {
			text += " "
		}
		text += string(address.Type) + "=" + address.Address
	}
	return text + "]"
}

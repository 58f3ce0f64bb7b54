// Package connect is the behaviour of the subresources and reviews that are no objects in storage: exec, attach, port-forward, log and
// proxy go on to a kubelet, a Pod or a Service; binding and eviction write through rules of their own; tokens are signed; reviews are answered.
package connect

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/authn"
	"github.com/septet-io/septet/apiserver/authn/serviceaccount"
	"github.com/septet-io/septet/apiserver/request"
	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/apiserver/store"
	"github.com/septet-io/septet/resource"
)

// Config is what connections and reviews need beside the served resources.
type Config struct {
	// Kubelet is the client side of connections to kubelets: certificate and authorities. Nil: the kubelet's certificate is
	// not verified and no certificate is shown, as upstream without --kubelet-certificate-authority.
	Kubelet *tls.Config
	// AddressTypes is the order in which a node's addresses are tried; upstream's if nil.
	AddressTypes []string
	// Tokens answers TokenReviews. Nil: no token is known.
	Tokens authn.Tokens
	// Audiences are those of the API server itself.
	Audiences []string
	// Authorizer answers the access reviews. Required.
	Authorizer request.Authorizer
	// Signer signs service accounts' tokens. Nil: tokens cannot be asked for.
	Signer *serviceaccount.Signer
	// MaxTokenSeconds bounds the life of tokens; 0: a year.
	MaxTokenSeconds int64
	// ExtendTokens lets tokens of Pods outlive an hour's expiry, for clients that never read them again.
	ExtendTokens bool
	// BytesPerSecond bounds what each connection passes; 0: any.
	BytesPerSecond int64
	// KubeletPort is that of kubelets that do not tell theirs; 10250 if 0.
	KubeletPort int
}

// connector is a Config bound to the resources of a server.
type connector struct {
	Config
	resources *rest.Registry
	// kubelets is the transport to kubelets, pods that to Pods and Services.
	kubelets, pods func() http.RoundTripper
}

// Resources that are looked up here.
var (
	podsResource     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	nodesResource    = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	servicesResource = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	secretsResource  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	accountsResource = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	bindingsResource = schema.GroupVersionResource{Version: "v1", Resource: "bindings"}
	budgetsResource  = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
)

// Wire gives the resources of a server their behaviour. Call it before the server serves.
func Wire(resources *rest.Registry, config Config) {
	c := &connector{Config: config, resources: resources}
	c.kubelets = sync.OnceValue(c.kubeletTransport)
	c.pods = sync.OnceValue(podTransport)
	authentication := schema.GroupVersion{Group: "authentication.k8s.io", Version: "v1"}
	authorization := schema.GroupVersion{Group: "authorization.k8s.io", Version: "v1"}
	for _, entry := range []struct {
		resource    schema.GroupVersionResource
		subresource string
		handler     rest.Handler
	}{
		{podsResource, "exec", c.exec},
		{podsResource, "attach", c.attach},
		{podsResource, "portforward", c.portForward},
		{podsResource, "log", c.log},
		{podsResource, "proxy", c.proxyPod},
		{podsResource, "binding", c.bindPod},
		{podsResource, "eviction", c.evict},
		{nodesResource, "proxy", c.proxyNode},
		{servicesResource, "proxy", c.proxyService},
		{bindingsResource, "", c.bind},
		{accountsResource, "token", c.token},
		{authentication.WithResource("tokenreviews"), "", c.reviewToken},
		{authentication.WithResource("selfsubjectreviews"), "", c.reviewSelf},
		{authorization.WithResource("subjectaccessreviews"), "", c.reviewAccess},
		{authorization.WithResource("localsubjectaccessreviews"), "", c.reviewLocalAccess},
		{authorization.WithResource("selfsubjectaccessreviews"), "", c.reviewOwnAccess},
		{authorization.WithResource("selfsubjectrulesreviews"), "", c.reviewOwnRules},
	} {
		if r := resources.Get(entry.resource); r != nil {
			r.Connect[entry.subresource] = entry.handler
		}
	}
}

// get reads an object; version "" is the latest, "0" whatever is at hand.
func get[T resource.Object](ctx context.Context, c *connector, of schema.GroupVersionResource, key store.Key, version string) (T, error) {
	var none T
	item, err := c.resources.Get(of).Open().Get(ctx, key, version)
	if err != nil {
		return none, err
	}
	obj, ok := item.Object.(T)
	if !ok {
		return none, apierrors.NewInternalError(fmt.Errorf("%s are stored as %T", of.Resource, item.Object))
	}
	return obj, nil
}

// allowMethods refuses other methods than these.
func allowMethods(r *http.Request, conn *rest.Connection, methods ...string) error {
	for _, method := range methods {
		if r.Method == method {
			return nil
		}
	}
	return apierrors.NewMethodNotSupported(conn.Resource.GroupResource(), request.From(r.Context()).Verb)
}

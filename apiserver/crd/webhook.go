package crd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// webhook converts by asking a service (apiextensions.k8s.io ConversionReview).
type webhook struct {
	url string
	// review is the version of ConversionReview that both sides know.
	review string
	client *http.Client
}

const (
	// webhookTimeout bounds one call.
	webhookTimeout = 30 * time.Second
	// maxConverted bounds an answer: as many objects as a page may have, each of the size that etcd takes, is more than fits; what a
	// list of that size may have is the bound.
	maxConverted = 256 << 20
)

// newWebhook reads a definition's webhook. Nobody is asked yet.
func (d *Definitions) newWebhook(crd *apiextensionsv1.CustomResourceDefinition) (*webhook, error) {
	conversion := crd.Spec.Conversion.Webhook
	w := &webhook{}
	for _, name := range conversion.ConversionReviewVersions {
		if name == "v1" || name == "v1beta1" {
			w.review = apiextensionsv1.GroupName + "/" + name
			break
		}
	}
	if w.review == "" {
		return nil, errors.New("no supported conversion review versions")
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		MaxIdleConnsPerHost: 8, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if bundle := conversion.ClientConfig.CABundle; len(slices.DeleteFunc(slices.Clone(bundle), isSpace)) > 0 {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(bundle) {
			return nil, fmt.Errorf("conversion webhook of %s: the caBundle has no certificate", crd.Name)
		}
	}
	switch config := conversion.ClientConfig; {
	case config.URL != nil:
		w.url = *config.URL
	case config.Service != nil:
		w.url = d.toService(config.Service, transport)
	default:
		return nil, fmt.Errorf("conversion webhook of %s: neither url nor service", crd.Name)
	}
	w.client = &http.Client{Transport: transport, Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w, nil
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }

// toService lets a transport reach a Service, whose certificate is for its name in the cluster. It returns the URL.
func (d *Definitions) toService(service *apiextensionsv1.ServiceReference, transport *http.Transport) string {
	port := int32(443)
	if service.Port != nil {
		port = *service.Port
	}
	host := service.Name + "." + service.Namespace + ".svc"
	transport.Proxy, transport.TLSClientConfig.ServerName = nil, host
	if resolve := d.config.Resolve; resolve != nil {
		dialer := &net.Dialer{Timeout: 10 * time.Second}
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			address, err := resolve(ctx, service.Namespace, service.Name, port)
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, address)
		}
	}
	u := url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}
	if service.Path != nil {
		u.Path = *service.Path
	}
	return u.String()
}

// convert is converter.
func (w *webhook) convert(objs []*unstructured.Unstructured, to schema.GroupVersion) ([]*unstructured.Unstructured, error) {
	from := objs[0].GroupVersionKind()
	answer, err := w.ask(objs, to)
	if err != nil {
		return nil, fmt.Errorf("conversion webhook for %v failed: %w", from, err)
	}
	if len(answer) != len(objs) {
		return nil, fmt.Errorf("conversion webhook for %v returned %d objects, expected %d", from, len(answer), len(objs))
	}
	converted := make([]*unstructured.Unstructured, len(objs))
	for i := range answer {
		converted[i] = &unstructured.Unstructured{}
		if err := converted[i].UnmarshalJSON(answer[i].Raw); err != nil {
			return nil, fmt.Errorf("conversion webhook for %v returned invalid converted object at index %v: %w", from, i, err)
		}
		if err := accepted(objs[i], converted[i], to); err != nil {
			return nil, fmt.Errorf("conversion webhook for %v returned invalid converted object at index %v: %w", from, i, err)
		}
		if err := restoreMetadata(objs[i].Object, converted[i].Object); err != nil {
			return nil, fmt.Errorf("conversion webhook for %v returned invalid metadata in object at index %v: %w", from, i, err)
		}
	}
	return converted, nil
}

// ask sends objects and returns what came back for them.
func (w *webhook) ask(objs []*unstructured.Unstructured, to schema.GroupVersion) ([]runtime.RawExtension, error) {
	request := &apiextensionsv1.ConversionRequest{UID: uuid.NewUUID(), DesiredAPIVersion: to.String()}
	for _, obj := range objs {
		request.Objects = append(request.Objects, runtime.RawExtension{Object: obj})
	}
	review := &apiextensionsv1.ConversionReview{
		TypeMeta: metav1.TypeMeta{Kind: "ConversionReview", APIVersion: w.review}, Request: request,
	}
	ctx, cancel := context.WithTimeout(context.Background(), webhookTimeout)
	defer cancel()
	answer := &apiextensionsv1.ConversionReview{}
	if err := w.post(ctx, review, answer); err != nil {
		return nil, err
	}
	return w.read(answer, request.UID)
}

// read checks an answer.
func (w *webhook) read(answer *apiextensionsv1.ConversionReview, uid types.UID) ([]runtime.RawExtension, error) {
	strict := w.review == apiextensionsv1.SchemeGroupVersion.String() // the older version did not ask for as much
	if wanted := apiextensionsv1.SchemeGroupVersion.WithKind("ConversionReview"); strict && answer.GroupVersionKind() != wanted {
		return nil, fmt.Errorf("expected webhook response of %v, got %v", wanted, answer.GroupVersionKind())
	}
	response := answer.Response
	switch {
	case response == nil:
		return nil, errors.New("no response provided")
	case strict && response.UID != uid:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, response.UID)
	case response.Result.Status == metav1.StatusSuccess:
		return response.ConvertedObjects, nil
	case response.Result.Message != "":
		return nil, errors.New(response.Result.Message)
	}
	return nil, fmt.Errorf("response.result.status was '%s', not 'Success'", response.Result.Status)
}

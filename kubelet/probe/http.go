package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// UserAgent tells servers that a probe asks.
const UserAgent = "kube-probe/1.36"

// maxRedirects is how many redirects on the same host a probe follows.
const maxRedirects = 10

// httpProbe makes HTTP attempts.
type httpProbe struct{ transport *http.Transport }

func newHTTPProbe() *httpProbe {
	return &httpProbe{transport: &http.Transport{
		TLSClientConfig:    Unverified(),
		DisableKeepAlives:  true,
		DisableCompression: true,
		Proxy:              nil, // a probe goes to the pod, never through a proxy
		DialContext:        dialer(0).DialContext,
	}}
}

// do makes one attempt: codes from 200 to 399 are success. A redirect to another
// host is a success with a warning, as following it would probe something else.
func (h *httpProbe) do(ctx context.Context, action *v1.HTTPGetAction, c *v1.Container, ip string, timeout time.Duration) (Result, string, bool, error) {
	request, err := NewRequest(ctx, action, c, ip)
	if err != nil {
		return Unknown, "", false, err
	}
	client := &http.Client{Transport: h.transport, Timeout: timeout, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Hostname() != via[0].URL.Hostname() {
			return http.ErrUseLastResponse
		}
		if len(via) >= maxRedirects {
			return fmt.Errorf("stopped after %d redirects", maxRedirects)
		}
		return nil
	}}
	resp, err := client.Do(request)
	if err != nil {
		return Failure, err.Error(), false, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxOutput))
	if err != nil {
		return Failure, err.Error(), false, nil
	}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return Success, fmt.Sprintf("Probe terminated redirects, Response body: %v", string(body)), true, nil
	case resp.StatusCode >= 200 && resp.StatusCode < 400:
		return Success, string(body), false, nil
	}
	return Failure, fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode), false, nil
}

// NewRequest makes the request of an HTTP probe or lifecycle hook; ip is the
// pod's address.
func NewRequest(ctx context.Context, action *v1.HTTPGetAction, c *v1.Container, ip string) (*http.Request, error) {
	port, err := Port(action.Port, c)
	if err != nil {
		return nil, err
	}
	host := action.Host
	if host == "" {
		host = ip
	}
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	target, err := url.Parse(action.Path)
	if err != nil {
		// Not a valid path: ask for it as it stands, and let the server say so.
		target = &url.URL{Path: action.Path}
	}
	target.Scheme, target.Host = scheme, net.JoinHostPort(host, strconv.Itoa(port))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
		}
	}
	setDefault(request.Header, "User-Agent", UserAgent)
	setDefault(request.Header, "Accept", "*/*")
	return request, nil
}

// setDefault sets a header that the pod does not; one that it sets empty is not sent.
func setDefault(h http.Header, name, value string) {
	if _, ok := h[name]; !ok {
		h.Set(name, value)
	} else if h.Get(name) == "" {
		if name == "User-Agent" {
			h[name] = []string{""} // keeps net/http from setting its own
		} else {
			h.Del(name)
		}
	}
}

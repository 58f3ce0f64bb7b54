// Package webhook calls the remote services that kubeconfig files name: for audit events, tokens and authorization. Admission's
// webhooks are objects in the API and are called elsewhere.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Client calls one service. It is safe for concurrent use.
type Client struct {
	// Backoff between attempts; its Steps are how many there are, at least one.
	Backoff wait.Backoff
	// Retry says whether an error may go away by itself; Transient if nil.
	Retry func(error) bool

	url  string
	http *http.Client
}

const (
	// defaultTimeout bounds one call.
	defaultTimeout = 30 * time.Second
	// longestAnswer bounds what is read of an answer.
	longestAnswer = 3 << 20
)

// Backoff is the usual one with another first pause: five attempts, each pause half as long again.
func Backoff(first time.Duration) wait.Backoff {
	return wait.Backoff{Duration: first, Factor: 1.5, Jitter: 0.2, Steps: 5}
}

// Load reads a kubeconfig file, whose current context names the service: its server is the whole URL. Certificates in files are read
// again when they change.
func Load(file string) (*Client, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: file}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if config.Timeout = defaultTimeout; config.Host == "" {
		return nil, fmt.Errorf("%s: the current context names no server", file)
	}
	client, err := New(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return client, nil
}

// New returns a client of the service at config.Host.
func New(config *rest.Config) (*Client, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &Client{Backoff: wait.Backoff{Steps: 1}, url: base.String(), http: client}, nil
}

// Call posts a JSON document and reads the answer into another one; nil if it does not matter. Errors that may go away
// by themselves are tried again.
func (c *Client) Call(ctx context.Context, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	retry := c.Retry
	if retry == nil {
		retry = Transient
	}
	var last error
	err = wait.ExponentialBackoffWithContext(ctx, c.Backoff, func(ctx context.Context) (bool, error) {
		last = c.call(ctx, body, answer)
		if last != nil && retry(last) && ctx.Err() == nil {
			return false, nil
		}
		return true, last
	})
	if last != nil {
		return last
	}
	return err
}

func (c *Client) call(ctx context.Context, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // a date there is as good as nothing
		return apierrors.NewGenericServerResponse(response.StatusCode, "post", schema.GroupResource{}, "", short(text), seconds, true)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer is not what was asked for: %w", err)
	}
	return nil
}

// short is what an error message shows of an answer.
func short(text []byte) string {
	const most = 500
	if len(text) > most {
		text = text[:most]
	}
	return strings.TrimSpace(string(text))
}

// Transient says whether an error may go away by itself: broken connections, overload, a server's own mistakes.
func Transient(err error) bool {
	if utilnet.IsConnectionReset(err) || utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	if apierrors.IsInternalError(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) {
		return true
	}
	_, asked := apierrors.SuggestsClientDelay(err)
	return asked
}

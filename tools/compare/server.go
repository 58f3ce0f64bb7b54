package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// server is one of the two.
type server struct {
	client *http.Client
	base   string
}

// pair is both.
type pair struct{ ours, theirs *server }

func open(ours, theirs string) (pair, error) {
	var p pair
	var err error
	if p.ours, err = dial(ours); err != nil {
		return p, err
	}
	p.theirs, err = dial(theirs)
	return p, err
}

func dial(kubeconfig string) (*server, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &server{client: client, base: strings.TrimSuffix(config.Host, "/")}, nil
}

// call is one request. Body is sent as it is if it is a string, else as JSON.
type call struct {
	method, path string
	body         any
	contentType  string // application/json if empty
	accept       string // application/json if empty
}

func (c call) String() string { return c.method + " " + c.path }

// answer is what came back.
type answer struct {
	code     int
	warnings []string
	body     any // of JSON; text otherwise
}

func (s *server) do(ctx context.Context, c call) (answer, error) {
	var body io.Reader
	switch b := c.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return answer{}, err
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, s.base+c.path, body)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Accept", orElse(c.accept, "application/json"))
	if body != nil {
		request.Header.Set("Content-Type", orElse(c.contentType, "application/json"))
	}
	request.Header.Set("User-Agent", "compare") // the field manager of writes that name none
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	return read(response)
}

func read(response *http.Response) (answer, error) {
	a := answer{code: response.StatusCode}
	warnings, _ := utilnet.ParseWarningHeaders(response.Header["Warning"])
	for _, w := range warnings {
		a.warnings = append(a.warnings, w.Text)
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	if json.Unmarshal(data, &a.body) != nil {
		a.body = string(data)
	}
	return a, nil
}

// both sends the same to both at a time; the paths and bodies differ only where versions of objects do.
func (p pair) both(ctx context.Context, ours, theirs call) (a, b answer, err error) {
	var wait sync.WaitGroup
	var errA, errB error
	wait.Go(func() { a, errA = p.ours.do(ctx, ours) })
	wait.Go(func() { b, errB = p.theirs.do(ctx, theirs) })
	wait.Wait()
	if errA != nil {
		return a, b, fmt.Errorf("ours: %w", errA)
	}
	if errB != nil {
		return a, b, fmt.Errorf("theirs: %w", errB)
	}
	return a, b, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

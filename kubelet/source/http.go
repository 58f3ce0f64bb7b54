package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// fetchTimeout bounds one look at a URL.
const fetchTimeout = 10 * time.Second

// PollURL tells sink of the pods that a URL lists (a Pod or a PodList), asking it
// now and then, until ctx ends. HTTP has no other way.
func PollURL(ctx context.Context, url string, header map[string][]string, node string, every time.Duration, prepare Prepare, sink Sink) {
	p := &poller{url: url, header: header, node: node, prepare: prepare, set: set{source: HTTP, sink: sink}, client: &http.Client{Timeout: fetchTimeout}}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

type poller struct {
	url     string
	header  map[string][]string
	node    string
	prepare Prepare
	set     set
	client  *http.Client
	// last is the last answer, told the last error told.
	last []byte
	told string
}

func (p *poller) look(ctx context.Context) {
	err := p.fetch(ctx)
	if err == nil {
		p.told = ""
		return
	}
	if ctx.Err() == nil && err.Error() != p.told {
		p.told = err.Error()
		p.set.sink.Bad(HTTP, p.url, err)
	}
}

func (p *poller) fetch(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return err
	}
	for name, values := range p.header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	resp, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", p.url, resp.Status)
	case len(raw) == 0:
		p.set.replace(nil)
		return fmt.Errorf("zero-length data received from %s", p.url)
	case bytes.Equal(raw, p.last):
		return nil
	}
	pods, err := parse(raw)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := static(pod, HTTP, p.url, p.node, p.prepare); err != nil {
			return fmt.Errorf("pod %q: %w", pod.Name, err)
		}
	}
	p.last = raw
	p.set.replace(pods)
	return nil
}

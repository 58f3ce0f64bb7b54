package audit

import (
	"context"
	"time"

	"github.com/septet-io/septet/apiserver/webhook"
)

// hook posts events to a webhook as an EventList.
type hook struct {
	client *webhook.Client
	ctx    context.Context
	cancel context.CancelFunc
}

// newHook reads the webhook's kubeconfig file. Any error is worth another attempt: there is nobody to whom it could be told.
func newHook(file string, backoff time.Duration) (*hook, error) {
	client, err := webhook.Load(file)
	if err != nil {
		return nil, err
	}
	client.Backoff, client.Retry = webhook.Backoff(backoff), func(error) bool { return true }
	h := &hook{client: client}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

func (h *hook) write(events []*Event) bool {
	err := h.client.Call(h.ctx, eventList{Kind: "EventList", APIVersion: apiVersion, Items: untyped(events)}, nil)
	if err != nil {
		lost("webhook", err, events)
	}
	return err == nil
}

// untyped leaves kind and version out, which the list says for all.
func untyped(events []*Event) []*Event {
	items := make([]*Event, len(events))
	for i, event := range events {
		item := *event
		item.Kind, item.APIVersion = "", ""
		items[i] = &item
	}
	return items
}

func (h *hook) close() { h.cancel() }

package client

import (
	"context"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// warnings logs what the server warns of only to those who ask for detail: components use some kinds that are deprecated
// because they keep them up for others, and would be warned with each request.
type warnings struct{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (warnings) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if text != "" {
		klog.FromContext(ctx).V(4).Info("Warning of the API server", "warning", text)
	}
}

// withWarnings gives a config the handler, unless it has one.
func withWarnings(config *rest.Config) *rest.Config {
	if config.WarningHandler == nil && config.WarningHandlerWithContext == nil {
		config.WarningHandlerWithContext = warnings{}
	}
	return config
}

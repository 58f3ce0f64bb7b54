// Package defaultbinder binds pods through the API's binding subresource.
package defaultbinder

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/septet-io/septet/scheduler/plugin"
)

// Name of the plugin.
const Name = "DefaultBinder"

// Plugin is DefaultBinder.
type Plugin struct {
	bind func(context.Context, *corev1.Binding) error
}

// New returns the plugin, with the function that takes bindings to the API.
func New(bind func(context.Context, *corev1.Binding) error) *Plugin { return &Plugin{bind} }

// Name implements plugin.Plugin.
func (*Plugin) Name() string { return Name }

// Bind implements plugin.Bind. The UID in the binding keeps a namesake that came later from being bound.
func (p *Plugin) Bind(ctx context.Context, c *plugin.Cycle, node string) *plugin.Status {
	pod := c.Pod.Object
	err := p.bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node},
	})
	if err != nil {
		return plugin.Failed(err)
	}
	return nil
}

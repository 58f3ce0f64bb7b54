package kubelet

import (
	"context"
	"path/filepath"

	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/plugin"
	"github.com/septet-io/septet/kubelet/volume/csi"
)

// runPlugins takes in storage drivers that register on this node until ctx ends. A node without them is a node.
func (k *Kubelet) runPlugins(ctx context.Context) {
	watcher := plugin.Watcher{
		Dir: filepath.Join(k.config.RootDir, "plugins_registry"), Handlers: map[string]plugin.Handler{csi.PluginType: k.drivers},
	}
	if err := watcher.Run(ctx); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Storage drivers cannot register")
	}
}

package kubelet

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/klog/v2"

	"github.com/septet-io/septet/kubelet/node"
	"github.com/septet-io/septet/kubelet/rotate"
)

// Periods of what nothing tells of: that a disk fills up or an image is unused.
const (
	imagePeriod   = 5 * time.Minute
	backoffPeriod = time.Minute
)

// housekeeping starts what tidies up now and then.
func (k *Kubelet) housekeeping(ctx context.Context) {
	c := k.config.Configuration
	go k.evictor.Run(ctx)
	size, err := resource.ParseQuantity(c.ContainerLogMaxSize)
	if err == nil { // checked by validate
		go rotate.Run(ctx, rotate.Config{Runtime: k.runtime, MaxSize: size.Value(), MaxFiles: int(*c.ContainerLogMaxFiles), Every: c.ContainerLogMonitorInterval.Duration})
	}
	go every(ctx, imagePeriod, func() { k.collectImages(ctx) })
	go every(ctx, backoffPeriod, k.images.Collect)
	if c.RotateCertificates {
		if err := node.RotateClient(ctx, k.config.Client, k.config.CertDir, k.config.NodeName); err != nil {
			klog.FromContext(ctx).Error(err, "The node's certificate will not be renewed")
		}
	}
}

// every calls f once a period until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}

func (k *Kubelet) collectImages(ctx context.Context) {
	if err := k.unused.Collect(ctx); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Could not collect unused images")
		k.events.Event(k.node.Reference(), v1.EventTypeWarning, "ImageGCFailed", fmt.Sprint(err))
	}
}

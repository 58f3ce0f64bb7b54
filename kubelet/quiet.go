package kubelet

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record"
)

// quietRecorder drops events once the kubelet ends: there is no one left to send
// them, and what is being stopped then is not worth telling.
type quietRecorder struct {
	record.EventRecorder
	ctx context.Context
}

// Event implements record.EventRecorder.
func (r quietRecorder) Event(object runtime.Object, kind, reason, message string) {
	if r.ctx.Err() == nil {
		r.EventRecorder.Event(object, kind, reason, message)
	}
}

// Eventf implements record.EventRecorder.
func (r quietRecorder) Eventf(object runtime.Object, kind, reason, format string, args ...any) {
	if r.ctx.Err() == nil {
		r.EventRecorder.Eventf(object, kind, reason, format, args...)
	}
}

package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/septet-io/septet/apiserver/rest"
	"github.com/septet-io/septet/resource"
)

// admissionKinds are what configures admission at run time.
var admissionKinds = []string{
	"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
	"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
}

// promptly lets writes to what configures admission be answered only when this server's cache has them, from which plug-ins read: who
// has made a webhook or a policy can rely on it at once. Other servers know of it a moment later.
func (s *Server) promptly() {
	for _, plural := range admissionKinds {
		r := s.Resources.Get(schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: plural})
		reach := func(ctx context.Context, _ resource.Object) {
			_, _ = r.Open().Progress(ctx) // the write stands, whatever becomes of this
		}
		r.Hooks = rest.Hooks{
			AfterCreate: reach, AfterDelete: reach,
			AfterUpdate: func(ctx context.Context, obj, _ resource.Object) { reach(ctx, obj) },
		}
	}
}
